"""A finished run as its output folder tells it: its labels, their images, and the students that made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmine.data import Item, LabelStore, Window, find_items
from labelmine.data.found_set import set_name
from labelmine.errors import ConfigError, DataError
from labelmine.networks import Student
from labelmine.prediction import student_folder
from labelmine.run.files import BEST_FILE, CONFIG_FILE, LABELS_FOLDER, MINED, MODEL_FILE, PHANTOM_FOLDER, SUPERVISED
from labelmine.run.folder import read_settings
from labelmine.weights import sha256_of


@dataclass(frozen=True)
class RecordedRun:
    """What a ``mine.yaml`` or ``label.yaml`` run left behind.

    Attributes:
        name: Name of the image set.
        store: Its labels.
        items: The images by id, without their gold.
        window: (centre, width) that deep images were read with, or None.
        slice_axis: Axis along which volumes were cut.
        exclusive: Whether classes exclude each other.
        students: Students' files by their hash.
    """

    name: str
    store: LabelStore
    items: dict[str, Item]
    window: Window | None
    slice_axis: int
    exclusive: bool
    students: dict[str, Path]


def open_run(
    run_dir: str,
    dataset_dir: str | None = None,
    model_dir: str | None = None,
    window: Window | None = None,
    slice_axis: int = -1,
    exclusive: bool | None = None,
    mask_pattern: str | None = None,
) -> RecordedRun:
    """Open the output folder of a finished run.

    Args:
        run_dir: The folder; its ``config.yaml``, where it has one, says how images were read.
        dataset_dir: Its images, as ``find_items`` takes them; None: the phantoms that the run wrote for itself.
        model_dir: Output folder of the run whose student a ``label.yaml`` run used.
        window: (centre, width) where there is no ``config.yaml``.
        slice_axis: Axis along which volumes are cut, where there is no ``config.yaml``.
        exclusive: Whether classes exclude each other; None: as the student of the run says.
        mask_pattern: Where masks lie, where there is no ``config.yaml``; they tell masks from images.

    Raises:
        DataError: No labels there, or no images.
        ConfigError: Nothing tells whether classes exclude each other.
    """
    folder = Path(run_dir).expanduser()
    settings = read_settings(folder) if (folder / CONFIG_FILE).is_file() else {}
    axis = int(settings.get("slice_axis", slice_axis))
    pattern = settings.get("mask_pattern", mask_pattern)
    store = LabelStore.existing(folder / LABELS_FOLDER, axis, sound=False)
    source = folder / PHANTOM_FOLDER if dataset_dir is None else Path(dataset_dir).expanduser()
    if dataset_dir is None and not source.is_dir():
        raise ConfigError(f"dataset_dir: expected the images of the run in {folder.name}, which wrote none. Got: null")
    students = _students(folder, *([student_folder(model_dir)] if model_dir else []))
    return RecordedRun(
        name=set_name(source),
        store=store,
        items={item["id"]: _without_gold(item) for item in find_items(source, axis, mask_pattern=pattern)},
        window=settings.get("window", window),
        slice_axis=axis,
        exclusive=_exclusive(store, students) if exclusive is None else exclusive,
        students=students,
    )


def chosen_records(store: LabelStore, ids: Sequence[str] | str | None = None) -> list[dict[str, Any]]:
    """Return the records of the images named, or all, in the order in which the labels were made.

    Raises:
        DataError: A named image has no label.
    """
    records = store.records()
    if ids is None:
        return records
    wanted = [ids] if isinstance(ids, str) else [str(one) for one in ids]
    unknown = sorted(set(wanted) - {record["id"] for record in records})
    if unknown:
        raise DataError(f"ids: expected images that the manifest names, got {unknown[:3]} ({len(unknown)} unknown)")
    return [record for record in records if record["id"] in wanted]


def _students(*folders: Path) -> dict[str, Path]:
    names = (MODEL_FILE, f"{SUPERVISED}/{BEST_FILE}", f"{MINED}/{BEST_FILE}")
    files = [folder / name for folder in folders for name in names]
    return {sha256_of(file): file for file in files if file.is_file()}


def _exclusive(store: LabelStore, students: dict[str, Path]) -> bool:
    """Ask a student that made labels; of a single class it makes no difference."""
    if len(store.classes) == 1:
        return False
    made_by = {record.get("student_sha256") for record in store.records()}
    known = [file for sha256, file in students.items() if sha256 in made_by]
    if not known:
        raise ConfigError(
            "exclusive: expected true or false, as the student that made these labels is not in the run's folder. "
            "Give --exclusive, or with --model_dir the folder that the student came from. Got: null"
        )
    return Student.load(known[0])[0].exclusive


def _without_gold(item: Item) -> Item:
    bare = item.copy()
    bare.pop("label", None)
    return bare
