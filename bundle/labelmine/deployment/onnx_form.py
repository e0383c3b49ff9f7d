"""The student as one ONNX file that takes whole images."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from labelmine.atomic import write_whole
from labelmine.deployment.facts import StudentFacts
from labelmine.deployment.whole_image import IR_VERSION, OPSET, around
from labelmine.extras import extra

_ABOUT = (
    "Input 'image': float32 (N, H, W, 3), RGB in 0..255, any H and W (grey images: three times the same). Output "
    "'probability': float32 (N, K, H, W), one channel per class of class_names; the mask is where it is above 0.5."
)


def export_onnx(facts: StudentFacts, path: Path) -> Path:
    """Write the student with resizing, padding, normalisation and the way back inside.

    Input ``image``: (N, H, W, 3) float32, RGB in 0..255, of any size. Output ``probability``: (N, K, H, W) float32 at
    the images' size; the mask is where it is above 0.5, as ``Predictor`` has it.

    Raises:
        ConfigError: onnx or onnxscript is not installed.
    """
    onnx = extra("onnx", "onnx")
    student = facts.student
    model = around(_core(facts), facts.image_size, len(student.class_names), student.exclusive)
    model.producer_name, model.doc_string = "labelmine", _ABOUT
    onnx.helper.set_model_props(model, facts.as_texts())
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString())
    return path


def _core(facts: StudentFacts) -> Any:
    """Return the ONNX model of views (N, 3, S, S) in [0, 1] to logits."""
    extra("onnxscript", "onnx")  # torch's exporter wants it
    side = facts.image_size
    # Two of them: a batch of one would be taken for a constant.
    with _quiet():
        program = torch.onnx.export(
            facts.student.cpu().eval(),
            (torch.zeros(2, 3, side, side),),
            input_names=["view"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    core = program.model_proto
    core.ir_version = IR_VERSION
    return core


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own passes and deprecations away from users, who can do nothing about them."""
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in ("onnx_ir", "onnxscript")}
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
