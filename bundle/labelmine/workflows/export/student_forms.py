"""The student of a run in forms of other programs; each writer is a row of the table of forms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmine.data import Item, LoadItem, find_images
from labelmine.data.loading import LoadedItem
from labelmine.deployment import StudentFacts, export_onnx, export_openvino, export_torchscript, open_onnx
from labelmine.deployment.examined import compare_files, whole_image
from labelmine.deployment.hub_folder import write_hub_folder
from labelmine.deployment.int8 import CALIBRATED_ON, add_measured, export_int8
from labelmine.errors import ConfigError
from labelmine.run.files import CONFIG_FILE, INT8_FILE, MODEL_FILE, ONNX_FILE, OPENVINO_FILE, TORCHSCRIPT_FILE
from labelmine.workflows.export.run_labels import gather_labels

if TYPE_CHECKING:
    from labelmine.workflows.export.exporting import ExportKnobs

logger = logging.getLogger(__name__)


def write_onnx(run: Path, folder: Path, knobs: ExportKnobs) -> dict[str, Any]:
    """Write ``model.onnx``, and ``model_int8.onnx`` where it is asked for."""
    facts = StudentFacts.of_file(run / MODEL_FILE, knobs.licence)
    path = export_onnx(facts, folder / Path(ONNX_FILE).name)
    figures = facts.as_dict()
    return figures | {"int8": _write_int8(path, run, facts, knobs)} if knobs.int8 else figures


def write_openvino(run: Path, folder: Path, knobs: ExportKnobs) -> dict[str, Any]:
    """Write ``model.xml`` and ``model.bin``."""
    facts = StudentFacts.of_file(run / MODEL_FILE, knobs.licence)
    # Beside the folder, as only what is to be handed on lies in it.
    path = export_onnx(facts, folder.parent / Path(ONNX_FILE).name)
    export_openvino(facts, path, folder / Path(OPENVINO_FILE).name)
    return facts.as_dict()


def write_torchscript(run: Path, folder: Path, knobs: ExportKnobs) -> dict[str, Any]:
    """Write ``model.ts``."""
    facts = StudentFacts.of_file(run / MODEL_FILE, knobs.licence)
    export_torchscript(facts, folder / TORCHSCRIPT_FILE)
    return facts.as_dict()


def write_hub(run: Path, folder: Path, knobs: ExportKnobs) -> dict[str, Any]:
    """Write the folder that ``huggingface_hub.upload_folder`` takes."""
    return write_hub_folder(run, folder, knobs.licence)


def _write_int8(onnx_file: Path, run: Path, facts: StudentFacts, knobs: ExportKnobs) -> dict[str, Any]:
    """Calibrate on the run's training images, measure on its test gold."""
    load, calibration, examined = _images(run, facts, knobs, onnx_file.parent.parent)
    path = onnx_file.with_name(Path(INT8_FILE).name)
    export_int8(onnx_file, path, (whole_image(item) for item in _loaded(load, calibration)))
    exact, quick = (open_onnx(file).answer for file in (onnx_file, path))
    figures = {"calibrated_on": len(calibration), **compare_files(exact, quick, _loaded(load, examined))}
    add_measured(path, figures)
    logger.info(
        "int8: Dice with the float student's masks %.4f on %d images", figures["dice_with_float"], len(examined)
    )
    if "gold_dice" in figures:
        told = (figures["gold_dice"], figures["gold_dice_float"], figures["images_with_gold"])
        logger.info("int8: Dice with gold %.4f, float %.4f, on %d images", *told)
    return figures


def _images(
    run: Path, facts: StudentFacts, knobs: ExportKnobs, scratch: Path
) -> tuple[LoadItem, Sequence[Item], Sequence[Item]]:
    """Return how images are loaded, those that calibrate, and those that are examined."""
    if (run / CONFIG_FILE).is_file():
        labels = gather_labels(run, knobs.dataset_dir, scratch)
        load = LoadItem(labels.classes, labels.window, labels.slice_axis)
        by_split = {
            split: [one.item for one in labels.images if one.split == split] for split in ("train", "val", "test")
        }
        calibration, examined = by_split["train"], by_split["test"] or by_split["val"]
    elif knobs.dataset_dir is not None:
        images = find_images(knobs.dataset_dir, str(scratch), None, facts.student.class_names)
        load = LoadItem(images.classes)
        calibration, examined = images.items[:CALIBRATED_ON], images.items[CALIBRATED_ON:]
    else:
        raise ConfigError(
            f"int8: needs images to calibrate on, and {run.name} is no run that has some; give --dataset_dir a folder "
            "of images like those that it will see"
        )
    if not calibration or not examined:
        raise ConfigError("int8: expected images to calibrate on and others to measure on, found too few; --int8 false")
    return load, calibration[:CALIBRATED_ON], examined


def _loaded(load: LoadItem, items: Sequence[Item]) -> Iterator[LoadedItem]:
    return (load(item) for item in items)
