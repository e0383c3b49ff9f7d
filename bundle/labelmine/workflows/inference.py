"""What ``configs/inference.yaml``, ``label.yaml`` and ``evaluate.yaml`` need beyond MONAI's evaluator."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import ClassMap, ImageSet, Item, LabelStore, read_label, write_phantom_set
from labelmine.data.image_set import QUARANTINE_FILE_NAME, find_and_check, root_of
from labelmine.data.masks_elsewhere import classes_elsewhere
from labelmine.data.set_aside import count_set_aside
from labelmine.errors import DataError
from labelmine.evaluation import ReportContext, summarise, write_metrics, write_report, write_table
from labelmine.labelers import PromptedLabeler
from labelmine.networks import Student
from labelmine.ranks import on_first_rank
from labelmine.teachers import Teacher, cache_metrics
from labelmine.weights import sha256_of
from labelmine.workflows.prediction import Predictor, compare

logger = logging.getLogger(__name__)

MODEL_FILE = "model.safetensors"


def load_predictor(model_dir: str, device: str = "cpu", tta: bool = False) -> Predictor:
    """Return the predictor of the student that an earlier run left in ``model_dir``."""
    return Predictor.load(Path(model_dir).expanduser() / MODEL_FILE, device, tta)


def student_sha256(model_dir: str) -> str:
    """Return the hash of the student in ``model_dir``, for the manifest."""
    return sha256_of(Path(model_dir).expanduser() / MODEL_FILE)


@on_first_rank
def find_images(
    dataset_dir: str | None,
    output_dir: str,
    classes: Any = None,
    class_names: Sequence[str] = (),
    window: tuple[float, float] | None = None,
    slice_axis: int = -1,
) -> ImageSet:
    """Find and check the images of a workflow that needs no split; None stands for a few phantom images.

    Args:
        dataset_dir: What ``find_items`` takes.
        output_dir: Where ``quarantine.csv`` goes.
        classes: Class names and mask values; None: as ``class_names`` says.
        class_names: The student's classes, numbered 1, 2, ... in masks; one class: any positive value.
        window: (centre, width) for deep images.
        slice_axis: Axis along which volumes are cut.
    """
    folder = Path(output_dir).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    source = write_phantom_set(folder / "phantom", 12, 0, 0) if dataset_dir is None else Path(dataset_dir).expanduser()
    known = classes if classes is not None else _numbered(class_names)
    checked = find_and_check(source, folder / QUARANTINE_FILE_NAME, known, window, slice_axis)
    summary = {"n_images": len(checked.items), "n_quarantined": count_set_aside(checked.set_aside)}
    root, items, found = root_of(source), checked.items, checked.findings
    return ImageSet(source.stem, root, items, checked.classes, window, slice_axis, summary, found)


def unfinished(items: Sequence[Item], done: set[str]) -> list[Item]:
    """Return the items that have no mask yet."""
    rest = [item for item in items if item["id"] not in done]
    if len(rest) < len(items):
        logger.info("%d of %d images are done already", len(items) - len(rest), len(items))
    return rest


def prepare_views(
    batch: Mapping[str, Any], device: torch.device | str, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None, tuple[()], dict[str, Tensor]]:
    """``prepare_batch`` of an evaluator without gold: images, and the padding's weight for the inferer."""
    weight = batch["weight"].to(device, non_blocking=non_blocking)
    return batch["image"].to(device, non_blocking=non_blocking), None, (), {"weight": weight}


class StudentInferer(Inferer):  # type: ignore[misc]  # MONAI is untyped
    """Probabilities (B, K, S, S) of a student, alone or refined by a teacher.

    Args:
        image_size: Side of the student's view in pixels.
        refine: A labeler whose teacher refines what the student finds; None: the student alone.
        tta: Whether the student answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
    """

    def __init__(self, image_size: int, refine: PromptedLabeler | None = None, tta: bool = False) -> None:
        """Keep them."""
        super().__init__()
        self.image_size = image_size
        self.refine = refine
        self.tta = tta

    def __call__(self, inputs: Tensor, network: Student, *args: Any, **kwargs: Tensor) -> Tensor:
        """Predict a batch of views; ``weight`` (B, 1, S, S) is 0 in the padding."""
        predictor = Predictor(network, self.image_size, self.refine, self.tta)
        return predictor.probabilities({"image": inputs, **kwargs})


@on_first_rank
def finish_labels(output_dir: str, images: ImageSet, store: LabelStore, teacher: Teacher | None, seed: int = 0) -> None:
    """End ``configs/label.yaml``: the manifest as a table, and ``metrics.json``.

    Args:
        output_dir: Where ``metrics.json`` goes.
        images: The images that were to be labelled.
        store: Their labels.
        teacher: Who labelled; its embedding cache, if it has one, is reported. None: a labeler without teacher.
        seed: The run's seed.
    """
    store.finish(images.items)
    accepted = [bool(record["accepted"]) for record in store.records()]
    counts = {"accepted": sum(accepted), "rejected": len(accepted) - sum(accepted)}
    metrics = {"dataset": images.name, "seed": seed, **images.summary, "pseudo_labels": counts}
    write_metrics(Path(output_dir).expanduser() / "metrics.json", {**metrics, **cache_metrics(teacher)})


class Examination:
    """Compare a student, or mask files, with gold; write ``metrics.json``, ``per_image.csv`` and ``report/``.

    Args:
        output_dir: Where the results go.
        images: Images; those with gold are examined.
        predictor: The student; None where ``masks_dir`` is given.
        masks_dir: Folder of mask files named as the images' ids, instead of a student.
        split_file: ``split.json`` of a run: only its test images are examined, as a student knows the others.
        seed: Seed of the bootstrap.
        teacher: Who refines; its embedding cache, if it has one, is reported.

    Raises:
        DataError: When no image has gold, or a mask file is missing.
    """

    def __init__(
        self,
        output_dir: str,
        images: ImageSet,
        predictor: Predictor | None = None,
        masks_dir: str | None = None,
        split_file: str | None = None,
        seed: int = 0,
        teacher: Teacher | None = None,
    ) -> None:
        """Check that there is something to compare."""
        self.folder = Path(output_dir).expanduser()
        self.images = images
        self.predictor = predictor
        self.masks_dir = None if masks_dir is None else Path(masks_dir).expanduser()
        self.seed = seed
        self.teacher = teacher
        chosen = _test_ids(split_file) if split_file else {item["id"] for item in images.items}
        self.items = [item for item in images.items if "label" in item and item["id"] in chosen]
        if not self.items:
            raise DataError(f"{images.name}: no image with gold to compare with. Put gold into masks/ beside images/.")

    def __call__(self) -> None:
        """Examine all images with gold."""
        if self.masks_dir is None and self.predictor is not None:
            masks = self.predictor.masks(self.items, self.images, desc="evaluate")
        else:
            masks = self._stored()
        table = compare(masks, self.images)
        name = "student" if self.masks_dir is None else "masks"
        write_table(self.folder / "per_image.csv", table)
        metrics = {"dataset": self.images.name, "seed": self.seed, **self.images.summary}
        metrics |= {name: summarise(table, self.seed), **cache_metrics(self.teacher)}
        write_metrics(self.folder / "metrics.json", metrics)
        context = ReportContext(dataset=self.images.name, seed=self.seed, tables={name: table})
        page = write_report(self.folder, context)
        logger.info("%s: Dice %.4f over %d images; %s", self.images.name, table["dice"].mean(), len(table), page.name)

    def _stored(self) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
        files = [(item, _mask_file(self.masks_dir or Path(), item)) for item in self.items]
        classes = classes_elsewhere(self.images.classes, files, self.images.slice_axis)
        for item, path in files:
            yield item, read_label(item, path, classes, self.images.slice_axis) > 0


def _test_ids(split_file: str) -> set[str]:
    path = Path(split_file).expanduser()
    if not path.is_file():
        raise DataError(f"{path.name}: no such split file. Give the split.json of the run that trained the student.")
    return set(json.loads(path.read_text())["test"])


def _mask_file(folder: Path, item: Item) -> Path:
    for name in (item["id"], item["group"]):
        found = sorted(folder.glob(f"{name}.*"))
        if found:
            return found[0]
    raise DataError(f"{folder.name}: no mask named {item['id']}.*; give each image with gold its mask file.")


def _numbered(names: Sequence[str]) -> ClassMap | None:
    if not names:
        return None
    values = tuple(range(1, len(names) + 1)) if len(names) > 1 else None
    return ClassMap(names=tuple(names), values=values)
