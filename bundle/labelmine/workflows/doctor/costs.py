"""What mining will need on this machine: a few steps are timed, and the rest is extrapolated."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from labelmine.data import Fold, ImageSet, folds_beside_validation
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.prompts import Prompts
from labelmine.report.doctor_tables import MiningCosts
from labelmine.teachers import Teacher
from labelmine.teachers.fitted import FLIPS, decoder_of, with_own_decoder
from labelmine.training import new_student, student_loader, training_inferer, view_dataset

#: Knobs of ``mine`` that the costs depend on.
OF_COSTS = (
    "encoder", "image_size", "batch_size", "max_epochs", "steps_per_epoch", "cache_num", "gate", "folds", "fold_epochs",
    "fit_steps", "tta", "embedding_cache", "cache_gb",
)  # fmt: skip
#: Of each thing that is timed: at most so many seconds (but for one warm-up and one measurement), and times.
SECONDS, TIMES = 4.0, 6
#: Seconds from which on a CPU is asked for less.
LONG = 4 * 3600
#: Looks of test-time augmentation, see ``TestTimeAverage``.
LOOKS = 8
#: What is kept of a student: its best weights, and a checkpoint of weights with both moments of Adam.
COPIES = 4


class Stopwatch:
    """Times the parts of mining on a batch of real views.

    Args:
        images: The set, split.
        knobs: Of ``mine``, those of ``OF_COSTS``.
        seed: Of the untrained student, and of folds.
        device: Where to compute.
    """

    def __init__(self, images: ImageSet, knobs: dict[str, Any], seed: int, device: str) -> None:
        """Read one batch, and build an untrained student."""
        self.images, self.knobs, self.seed, self.device = images, knobs, seed, torch.device(device)
        items = (images.train * knobs["batch_size"])[: max(knobs["batch_size"], 2)]
        views = view_dataset(items, images, knobs["image_size"], cache_num=0)
        loader = student_loader(views, len(items), shuffle=False)
        self.read = self._timed(lambda: next(iter(loader))) / len(items)
        batch = next(iter(loader))
        self.image: Tensor = batch["image"].to(self.device)
        self.target = torch.cat([batch["label"], batch["weight"]], dim=1).to(self.device)
        exclusive = len(images.classes) > 1
        self.student = new_student(images.classes.names, knobs["encoder"], None, exclusive, seed, device)
        self.loss = WeightedBCEDiceLoss(exclusive=exclusive)

    def costs(self, teacher: Teacher, folder: Path) -> MiningCosts:
        """Time student and teacher, and extrapolate.

        Args:
            teacher: Encodes one image.
            folder: Where a run would write.
        """
        step, forward = self._step(), self._forward()
        encode, embedding = self._encode(teacher)
        seconds = {
            **self._training(step, forward),
            **self._fit(teacher, encode),
            "labelling": self._labelling(forward, encode),
        }
        return MiningCosts(
            seconds=seconds,
            memory=self._memory(),
            gpu_memory=torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None,
            disk=self._disk(embedding),
            free=shutil.disk_usage(folder).free,
            basis=[*self._basis(step, encode, teacher), *self._advice(sum(seconds.values()))],
        )

    def _step(self) -> float:
        network = self.student.train()
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        infer = training_inferer(self.device)
        amp = self.device.type == "cuda"

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(self.device.type, enabled=amp):
                loss = self.loss(infer(self.image, network), self.target)
            loss.backward()
            optimizer.step()

        return self._timed(step)

    @torch.no_grad()
    def _forward(self) -> float:
        network: Student = self.student.eval()
        return self._timed(lambda: network(self.image)) / len(self.image)

    @torch.no_grad()
    def _encode(self, teacher: Teacher) -> tuple[float, int]:
        """Seconds of an image, and bytes of its embedding as the cache keeps it."""
        found: list[Tensor] = []
        seconds = self._timed(lambda: found.append(teacher.encode(self.image[:1])))
        return seconds, found[-1].numel() * 2

    def _training(self, step: float, forward: float) -> dict[str, float]:
        knobs, images = self.knobs, self.images
        gold, both = len(images.train), len(images.train) + len(images.unlabeled)
        validation = len(images.val) * forward

        def training(n: int, epochs: int) -> float:
            steps = knobs["steps_per_epoch"] or max(n // knobs["batch_size"], 1)
            read_again = max(n - knobs["cache_num"], 0) * self.read
            epoch = steps * step + validation + read_again
            return float(epochs * epoch + min(n, knobs["cache_num"]) * self.read)

        of_folds = sum(training(len(fold.train), knobs["fold_epochs"]) for fold in self._folds())
        return {
            "first training, on gold": training(gold, knobs["max_epochs"]),
            **({"short trainings for the gate": of_folds} if of_folds else {}),
            "second training": training(both, knobs["max_epochs"]),
        }

    def _folds(self) -> list[Fold]:
        return folds_beside_validation(self.images, self.knobs["folds"], self.seed) if self.knobs["gate"] else []

    def _fit(self, teacher: Teacher, encode: float) -> dict[str, float]:
        """Gold encoded in its flips, and the steps of a decoder for each fold and of the one that labels."""
        steps, gold = self.knobs["fit_steps"], len(self.images.train)
        if not steps or teacher.decoder is None:
            return {}
        decoders = len(self._folds()) + 1
        encoded = len(FLIPS) * gold * encode
        return {"the teacher's decoder, fitted to gold": encoded + decoders * steps * self._fit_step(teacher)}

    def _fit_step(self, teacher: Teacher) -> float:
        """Seconds in which a decoder learns from a batch with an object in each image."""
        fitted, n, (height, width) = with_own_decoder(teacher), len(self.image), self.image.shape[-2:]
        decoder_of(fitted).requires_grad_(True)
        box = torch.tensor([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]])
        prompts = Prompts(image_index=torch.arange(n), class_index=torch.zeros(n).long(), boxes=box.repeat(n, 1))
        with torch.no_grad():
            embeddings = fitted.encode(self.image)
        asked = prompts.to(self.device)

        def step() -> None:
            torch.autograd.backward(fitted.decode(embeddings, asked, (height, width)).logits.sum())

        return self._timed(step)

    def _labelling(self, forward: float, encode: float) -> float:
        looks = LOOKS if self.knobs["tta"] else 1
        return len(self.images.unlabeled) * (self.read + encode + looks * forward)

    def _memory(self) -> float | None:
        """What this process had at its peak, and the views that a training keeps."""
        if sys.platform == "win32":
            return None
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        views = min(len(self.images.train) + len(self.images.unlabeled), self.knobs["cache_num"])
        views += min(len(self.images.val), self.knobs["cache_num"])
        of_view = (self.image[0].numel() + self.target[0].numel()) * self.image.element_size()
        return float(peak + views * of_view)

    def _disk(self, embedding: int) -> dict[str, float]:
        asked = len(self.images.unlabeled) + len(self.images.val)
        kept = 0.0 if self.knobs["embedding_cache"] is None else min(asked * embedding, self.knobs["cache_gb"] * 1e9)
        weights = sum(parameter.numel() * parameter.element_size() for parameter in self.student.parameters())
        return {"two students": 2.0 * COPIES * weights, "embeddings of the teacher": kept}

    def _basis(self, step: float, encode: float, teacher: Teacher) -> list[str]:
        knobs = self.knobs
        epochs = f"{knobs['max_epochs']} epochs"
        return [
            f"Measured here, on {self.device.type}, with this set's images: {step:.3g} s for a step of "
            f"{len(self.image)} images of {knobs['image_size']} pixels ({knobs['encoder']}), {encode:.3g} s for the "
            f"teacher '{teacher.name}' to encode one.",
            f"Extrapolated to {epochs} of both trainings. The teacher's answers to prompts, the gate and the "
            "examination come on top; a machine that is busy with other work gives other figures.",
        ]

    def _advice(self, seconds: float) -> list[str]:
        """Name what brings it down, where a CPU has too much to do."""
        if self.device.type != "cpu" or seconds < LONG:
            return []
        return ["Fewer --max_epochs or a smaller --image_size take less time here; or take a GPU."]

    def _timed(self, work: Callable[[], Any]) -> float:
        """Median seconds of some calls, after one that pays for warming up."""
        times: list[float] = []
        started = time.perf_counter()
        for _ in range(TIMES + 1):
            before = time.perf_counter()
            work()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - before)
            if len(times) > 1 and time.perf_counter() - started > SECONDS:
                break
        return median(times[1:]) if len(times) > 1 else math.nan
