"""The student's training step through MONAI's trainer, with all handlers, against a bare PyTorch loop.

Both sides take the same batches, augmentation, network, loss and optimizer. Timed are the steps of an epoch; the
validation at its end is not a step.

    uv run python scripts/benchmarks/trainer_step.py [--encoder mobilenet_v2] [--image_size 128]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, RandFlipd, RandRotate90d, RandRotated
from side_by_side import Comparison, machine, print_verdict

from labelmine.data import ClassMap, LoadItem, find_items, write_phantom_set
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.training import PrepareStudentBatch, TrainingPlan, new_student, student_loader, student_trainer
from labelmine.transforms import BatchAugment, StudentView

BAR = 1.05
BATCH = 8


def plan(device: str, image_size: int) -> TrainingPlan:
    """Return a plan with flips and turns, as S1 trains."""
    keys = BatchAugment.keys
    augment = [
        RandFlipd(keys=keys, prob=0.5, spatial_axis=0),
        RandFlipd(keys=keys, prob=0.5, spatial_axis=1),
        RandRotate90d(keys=keys, prob=0.5),
        RandRotated(keys=keys, prob=0.5, range_x=0.785, mode=["bilinear", "nearest", "nearest"], padding_mode="zeros"),
    ]
    return TrainingPlan(
        loss=WeightedBCEDiceLoss(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, 3e-4),
        scheduler=lambda optimizer, steps: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1000),
        augment=BatchAugment(augment),
        image_size=image_size,
        patience=1000,
        device=device,
    )


class BareLoop:
    """What a researcher would write by hand."""

    def __init__(self, how: TrainingPlan, network: Student, loader: DataLoader) -> None:
        """Keep network and batches."""
        self.how, self.network, self.loader = how, network, loader
        self.prepare = PrepareStudentBatch(how.augment)
        self.optimizer = how.optimizer(network.parameters())

    def epoch(self) -> float:
        """Train an epoch and return its seconds."""
        started = time.perf_counter()
        scaler = torch.amp.GradScaler(self.how.device, enabled=self.how.amp)
        self.network.train()
        for batch in self.loader:
            image, target = self.prepare(batch, self.how.device)
            self.optimizer.zero_grad()
            with torch.autocast(torch.device(self.how.device).type, enabled=self.how.amp):
                loss = self.how.loss(self.network(image), target)
            scaler.scale(loss).backward()
            scaler.step(self.optimizer)
            scaler.update()
            loss.item()  # every loop shows its loss
        return time.perf_counter() - started


class ThroughMonai:
    """The project's trainer, an epoch at a time; its clock stops before the validation."""

    def __init__(self, how: TrainingPlan, network: Student, loader: DataLoader, val: DataLoader, folder: str) -> None:
        """Build the trainer with all its handlers."""
        self.times: list[float] = []
        self.trainer = student_trainer(how, network, loader, val, 1, folder, [self])

    def attach(self, engine: Engine) -> None:
        """Start the clock before any other handler of the epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda: self.times.append(-time.perf_counter()))

    def epoch(self) -> float:
        """Train an epoch and return its seconds."""
        last = Events.ITERATION_COMPLETED(once=self.trainer.state.iteration + len(self.trainer.data_loader))
        self.trainer.add_event_handler(last, self._stop)
        self.trainer.state.max_epochs = self.trainer.state.epoch + 1
        self.trainer.run()
        return self.times[-1]

    def _stop(self) -> None:
        self.times[-1] += time.perf_counter()


def main() -> None:
    """Time both in turns and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="mobilenet_v2")
    parser.add_argument("--image_size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        items = find_items(write_phantom_set(Path(folder) / "phantom", 16, 0, 0, size=args.image_size))
        views = CacheDataset(items, Compose([LoadItem(ClassMap()), StudentView(args.image_size)]), progress=False)
        how = plan(device, args.image_size)
        bare, monai = (new_student(["lesion"], args.encoder, None, False, 0, device) for _ in range(2))
        loader = student_loader(views, BATCH, steps=args.steps)
        val = student_loader(CacheDataset(items[:2], views.transform, progress=False), 2, shuffle=False)
        hand = BareLoop(how, bare, loader)
        ours = ThroughMonai(how, monai, loader, val, f"{folder}/run")
        hand.epoch(), ours.epoch()  # warm-up
        pairs = [(ours.epoch(), hand.epoch()) for _ in range(args.rounds)]
    comparison = Comparison.of(*zip(*pairs, strict=True))
    print(f"{args.encoder}, {args.image_size} px, batch {BATCH}, {args.steps} steps a round, {machine()}")
    monai_step, bare_step = (min(side) / args.steps for side in zip(*pairs, strict=True))
    print(f"seconds per step: MONAI {monai_step:.4f}, bare {bare_step:.4f}")
    print(f"step through MONAI by bare loop: {comparison} (bar at most {BAR})")
    print_verdict("trainer_step", comparison.ratio, BAR, device, at_most=True, spread=comparison.spread)


if __name__ == "__main__":
    main()
