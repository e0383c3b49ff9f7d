"""The image set of a run: found, checked, freed of leaks and split by one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from labelmine.data.account import account_lines
from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.corrections import Corrections, ReadCorrections
from labelmine.data.duplicates import Pair
from labelmine.data.findings import Finding
from labelmine.data.found_set import find_set
from labelmine.data.integrity import CheckedItems, write_quarantine
from labelmine.data.intensities import Window
from labelmine.data.items import Item, Split, without_gold
from labelmine.data.look_alikes import KIND as LOOK_ALIKES
from labelmine.data.mask_readings import knob
from labelmine.data.phantom import write_phantom_set
from labelmine.data.reading import read_image
from labelmine.data.run_split import RunSplit
from labelmine.data.set_aside import count_set_aside, log_set_aside
from labelmine.data.writable import require_writable
from labelmine.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

QUARANTINE_FILE_NAME = "quarantine.csv"
CORRECTIONS_FOLDER = "corrections"
#: Images of the built-in set, and their side in pixels.
PHANTOM_COUNT = 160
PHANTOM_SIZE = 160


@dataclass(frozen=True)
class ImageSet:
    """Images of a run by their use.

    Attributes:
        name: Name of the set: its folder or listing, without the path.
        root: Folder that image names in files are relative to.
        items: All images in use, each with its split.
        classes: The classes and their mask values.
        window: (centre, width) that deep images are read with, or None.
        slice_axis: Axis along which volumes are cut.
        summary: Counts: ``n_gold`` (training), ``n_gold_val``, ``n_gold_test``, ``n_unlabeled``, ``n_held_out``
            (no gold, but of a validation or test group), ``n_quarantined``, ``n_near_duplicate_pairs``,
            ``n_empty_masks``, ``n_corrected`` where corrections were given, and ``n_rejected`` where some of them say
            that a label was wrong (these images are not mined).
        findings: What was assumed while the set was read.
        near_duplicates: ``(id, id, distance)`` of images that are nearly the same.
    """

    name: str
    root: Path
    items: list[Item]
    classes: ClassMap
    window: Window | None
    slice_axis: int
    summary: dict[str, int]
    findings: tuple[Finding, ...] = ()
    near_duplicates: tuple[Pair, ...] = ()

    @property
    def train(self) -> list[Item]:
        """Training gold."""
        return self._of("train")

    @property
    def val(self) -> list[Item]:
        """Validation gold."""
        return self._of("val")

    @property
    def test(self) -> list[Item]:
        """Test gold."""
        return self._of("test")

    @property
    def unlabeled(self) -> list[Item]:
        """Images to mine; ``dropped_label`` where gold was set aside."""
        return self._of("unlabeled")

    @property
    def groups(self) -> dict[str, str]:
        """Group of each image by id."""
        return {item["id"]: item["group"] for item in self.items}

    def _of(self, split: Split) -> list[Item]:
        return [item for item in self.items if item.get("split") == split]


def prepare_image_set(
    dataset_dir: str | None,
    output_dir: str,
    seed: int = 0,
    labeled_fraction: float = 1.0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    classes: ClassSpec | ClassMap = None,
    window: Window | None = None,
    slice_axis: int = -1,
    phantom_size: int = PHANTOM_SIZE,
    phantom_count: int = PHANTOM_COUNT,
    corrections: ReadCorrections | None = None,
    split_file: str | None = None,
    mask_pattern: str | None = None,
) -> ImageSet:
    """Find, check and split the images of a run.

    Writes ``quarantine.csv`` and ``split.json`` into ``output_dir``; a later run there takes the same split up.

    Args:
        dataset_dir: What ``find_items`` takes; None writes the phantom set into ``output_dir/phantom`` and uses it.
        output_dir: Folder of the run; made where missing.
        seed: Seed of the split, and of the phantom set.
        labeled_fraction: Fraction of the training groups that keep their gold, in (0, 1].
        val_fraction: Fraction of the groups with gold that validate, in (0, 1).
        test_fraction: Fraction of the groups with gold that test, in (0, 1).
        classes: Class names and values; None infers them from the masks.
        window: (centre, width) for images of more than 8 bits; None takes the file's own, else percentiles.
        slice_axis: Axis along which NIfTI volumes are cut.
        phantom_size: Height and width of phantom images in pixels.
        phantom_count: Number of phantom images, 10 or more: a tenth is training gold, a thirteenth validates, a quarter
            tests, the rest is unlabelled with its gold as ``dropped_label``.
        corrections: Reads corrected masks, see ``labelmine.exchange.corrections_reader``: their images become training
            gold, whatever ``labeled_fraction`` hid. The split is drawn without them, so that a later run with more
            corrections is examined on the same images; validation and test keep their gold. Copies of the masks are
            written to ``output_dir/corrections``. None: there are none.
        split_file: ``split.json`` of another run with the same images: split as it did; seed and fractions then
            split nothing. None: draw.
        mask_pattern: Where the mask of an image lies in ``dataset_dir``, see ``MaskPattern``; None: names say it.

    Raises:
        ConfigError: Knobs out of range.
        DataError: No usable images, a split that leaks or has too little gold, a folder that holds another run, or
            corrections of images that are not there.
    """
    how = RunSplit(
        seed=seed,
        labeled_fraction=labeled_fraction,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        split_file=split_file,
    )
    folder = Path(output_dir).expanduser()
    require_writable(folder)
    made = dataset_dir is None
    source = mining_phantoms(folder, seed, phantom_count, phantom_size) if dataset_dir is None else Path(dataset_dir)
    source = source.expanduser()
    found = find_set(source, folder, classes, slice_axis, mask_pattern)
    checked = found.check(folder / QUARANTINE_FILE_NAME, window)
    corrected = _corrected(corrections, checked, folder, window, slice_axis) if corrections is not None else None
    if corrected is None:
        _refuse_no_gold(checked, found.findings)
    read = partial(read_image, window=window, slice_axis=slice_axis)
    items, pairs = how.apply(checked.items, folder, read, corrected, {"phantom_size": phantom_size} if made else {})
    image_set = ImageSet(
        name="phantom" if made else found.name,
        root=found.root,
        items=items,
        classes=checked.classes,
        window=window,
        slice_axis=slice_axis,
        summary=_summary(items, checked, pairs, corrected),
        near_duplicates=tuple(pairs),
        findings=checked.findings,
    )
    for line in account_lines(checked.items, checked.set_aside, checked.classes):
        logger.info("%s", line)
    logger.info("%s: %s", image_set.name, ", ".join(f"{key} {value}" for key, value in image_set.summary.items()))
    return image_set


def _refuse_no_gold(checked: CheckedItems, findings: Sequence[Finding]) -> None:
    """Stop before images are compared where none has a mask, and say which files may be masks."""
    if any("label" in item for item in checked.items):
        return
    guesses = "".join(f"; {finding}" for finding in findings if finding.kind == LOOK_ALIKES)
    raise DataError(
        f"too little gold: none of the {len(checked.items)} images has a mask. Put masks into masks/, named like their "
        f"images, list both in a CSV (image,label), or say where they are: {knob('masks/{id}.png')}{guesses}"
    )


def mining_phantoms(run: Path, seed: int = 0, count: int = PHANTOM_COUNT, size: int = PHANTOM_SIZE) -> Path:
    """Write the phantoms of a run that splits, each with a lesion; see ``prepare_image_set`` for their parts."""
    if count < 10:
        raise ConfigError(f"phantom_count: expected 10 or more, got {count}")
    n_train, n_val, n_test = round(count / 10), round(count / 13), round(count / 4)
    rest = count - n_train - n_val - n_test
    return write_phantom_set(run / "phantom", n_train, n_val, n_test, seed, size, rest, empty=False)


def find_images(
    dataset_dir: str | None,
    output_dir: str,
    classes: Any = None,
    class_names: Sequence[str] = (),
    window: tuple[float, float] | None = None,
    slice_axis: int = -1,
    mask_pattern: str | None = None,
    gold: bool = True,
) -> ImageSet:
    """Find and check the images of a workflow that needs no split; None stands for a few phantom images.

    Args:
        dataset_dir: What ``find_items`` takes.
        output_dir: Where ``quarantine.csv`` goes.
        classes: Class names and mask values; None: as ``class_names`` says.
        class_names: The student's classes, numbered 1, 2, ... in masks; one class: any positive value.
        window: (centre, width) for deep images.
        slice_axis: Axis along which volumes are cut.
        mask_pattern: Where the mask of an image lies, see ``MaskPattern``; None: names say it.
        gold: Whether masks are of use; False: a set whose masks are of other classes is no obstacle.
    """
    folder = Path(output_dir).expanduser()
    require_writable(folder)
    source = write_phantom_set(folder / "phantom", 12, 0, 0) if dataset_dir is None else Path(dataset_dir).expanduser()
    known = classes if classes is not None else _numbered(class_names)
    found = find_set(source, folder, known, slice_axis, mask_pattern)
    if not gold:
        found = replace(found, items=[without_gold(item) for item in found.items])
    checked = found.check(folder / QUARANTINE_FILE_NAME, window)
    summary = {"n_images": len(checked.items), "n_quarantined": count_set_aside(checked.set_aside)}
    return ImageSet(
        found.name, found.root, checked.items, checked.classes, window, slice_axis, summary, checked.findings
    )


def _numbered(names: Sequence[str]) -> ClassMap | None:
    if not names:
        return None
    values = tuple(range(1, len(names) + 1)) if len(names) > 1 else None
    return ClassMap(names=tuple(names), values=values)


def _corrected(
    read: ReadCorrections, checked: CheckedItems, folder: Path, window: Window | None, slice_axis: int
) -> Corrections:
    """Read corrections; those that cannot be used join ``quarantine.csv``."""
    found = read(checked, folder / CORRECTIONS_FOLDER, window, slice_axis)
    log_set_aside(found.set_aside)
    write_quarantine(folder / QUARANTINE_FILE_NAME, [*checked.set_aside, *found.set_aside])
    return found


def _summary(
    items: list[Item], checked: CheckedItems, pairs: list[Pair], corrected: Corrections | None
) -> dict[str, int]:
    count = {
        split: sum(item.get("split") == split for item in items) for split in ("train", "val", "test", "unlabeled")
    }
    rejected = len(corrected.rejected - {item["id"] for item in items}) if corrected else 0
    return {
        "n_gold": count["train"],
        "n_gold_val": count["val"],
        "n_gold_test": count["test"],
        "n_unlabeled": count["unlabeled"],
        "n_held_out": len(checked.items) - len(items) - rejected,
        "n_quarantined": count_set_aside([*checked.set_aside, *(corrected.set_aside if corrected else [])]),
        "n_near_duplicate_pairs": len(pairs),
        "n_empty_masks": checked.n_empty_masks,
        **({"n_corrected": _count_corrected(items, corrected)} if corrected else {}),
        **({"n_rejected": rejected} if rejected else {}),
    }


def _count_corrected(items: list[Item], corrected: Corrections) -> int:
    used = {(name, str(path)) for name, path in corrected.masks.items()}
    return sum((item["id"], item.get("label")) in used for item in items)
