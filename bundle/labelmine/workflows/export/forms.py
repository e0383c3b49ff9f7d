"""The forms in which a run can be handed on, one line each: a new one is a module and a line here.

Modules are named, not imported: help shows the table, and what a form needs may be an extra.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from labelmine.errors import ConfigError


@dataclass(frozen=True)
class Form:
    """A form.

    Attributes:
        name: What the user writes.
        purpose: What it is for, in one line.
        takes: What the writer is given first: ``labels``, a ``LabelSet`` of the run; or ``run``, its folder (of the
            bundle's ``models/``, where no run is named).
        writer: ``module:function``, called as ``function(labels, folder)`` or ``function(run, folder, knobs)``: the
            folder is empty, the knobs are ``ExportKnobs``; it returns figures for ``export.json``.
        folder_name: Regular expression that the name of the output folder has to match; empty: any will do.
    """

    name: str
    purpose: str
    takes: Literal["labels", "run"]
    writer: str
    folder_name: str = ""

    def load(self) -> Callable[..., dict[str, Any]]:
        """Return the function that writes it."""
        module, _, function = self.writer.partition(":")
        found: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), function)
        return found


_IN = "labelmine.exchange"
_STUDENT = "labelmine.workflows.export.student_forms"
FORMS = (
    Form(
        "nnunet",
        "raw data set of nnU-Net v2, with folds by group and an ignore label; FOLDER is DatasetNNN_Name",
        "labels",
        f"{_IN}.nnunet:write_nnunet",
        folder_name=r"Dataset\d{3}_.+",
    ),
    Form(
        "coco",
        "COCO instances, masks as run lengths (pycocotools, Detectron2)",
        "labels",
        f"{_IN}.coco:write_coco",
    ),
    Form("yolo", "YOLO segmentation: data.yaml and polygons (Ultralytics)", "labels", f"{_IN}.yolo:write_yolo"),
    Form("datalist", "datalist.json of MONAI, with images and labels", "labels", f"{_IN}.listed_files:write_datalist"),
    Form("csv", "dataset.csv, a table with images and labels", "labels", f"{_IN}.listed_files:write_table"),
    Form("dicom_seg", "DICOM SEG per series, of DICOM images", "labels", f"{_IN}.dicom_labels:write_segmentations"),
    Form("rtstruct", "RT Structure Set per series, of DICOM images", "labels", f"{_IN}.dicom_labels:write_rtstruct"),
    Form("nifti", "NIfTI mask volume per series, of DICOM images", "labels", f"{_IN}.dicom_labels:write_volumes"),
    Form("onnx", "model.onnx, the student for whole images in 0..255 (--int8)", "run", f"{_STUDENT}:write_onnx"),
    Form("openvino", "model.xml and model.bin, the same for OpenVINO", "run", f"{_STUDENT}:write_openvino"),
    Form("torchscript", "model.ts, the network alone, for MONAI", "run", f"{_STUDENT}:write_torchscript"),
    Form("hub", "a folder for the Hugging Face hub: model card, weights, config.json", "run", f"{_STUDENT}:write_hub"),
)
PURPOSES = {form.name: form.purpose for form in FORMS}


def form_named(name: str | None) -> Form:
    """Return a form by its name.

    Raises:
        ConfigError: No such form; lists them all.
    """
    found = next((form for form in FORMS if form.name == name), None)
    if found is not None:
        return found
    near = difflib.get_close_matches(str(name), PURPOSES, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    rows = "; ".join(f"{form.name}: {form.purpose}" for form in FORMS)
    raise ConfigError(f"form: expected a form that is known. Got: {name!r}{hint}. Known are {rows}")
