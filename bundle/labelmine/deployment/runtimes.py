"""The student as other programs run it, in torch's place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmine.deployment.facts import StudentFacts
from labelmine.deployment.onnx_form import export_onnx
from labelmine.deployment.openvino_form import PRECISE, export_openvino
from labelmine.deployment.whole_image import IMAGE, PROBABILITY
from labelmine.errors import ConfigError
from labelmine.extras import extra
from labelmine.networks import IndirectStudent, Student, logits_of
from labelmine.run.files import INT8_FILE, MODEL_FILE, ONNX_FILE, OPENVINO_FILE

logger = logging.getLogger(__name__)

#: (N, H, W, 3) float32 in 0..255 to (N, K, H, W) probabilities.
Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class RuntimeStudent(IndirectStudent):
    """A student whose answers another program computes; who looks into its layers finds torch's behind it.

    Args:
        student: Torch's.
        answer: The program's answer to whole images. Views are whole images of the view's size: nothing is resized.
    """

    def __init__(self, student: Student, answer: Answer) -> None:
        """Keep them."""
        self._student = student
        self.exclusive = student.exclusive
        self.answer = answer

    @property
    def student(self) -> Student:
        """Torch's student."""
        return self._student

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits of (B, 3, S, S) images in [0, 1]."""
        whole = (images.float() * 255).movedim(1, -1).contiguous().cpu().numpy()
        found = torch.from_numpy(self.answer(whole)).to(images.device)
        shares = torch.cat([1 - found.sum(1, keepdim=True), found], 1) if self.exclusive else found
        return logits_of(shares, self.exclusive)


@dataclass(frozen=True)
class Opened:
    """An exported file at work.

    Attributes:
        answer: What it says of images.
        student_sha256: Of which student, by its own metadata.
    """

    answer: Answer
    student_sha256: str


def open_onnx(path: Path) -> Opened:
    """Open a file of ``export_onnx`` with ONNX Runtime, on as many threads as torch has.

    Raises:
        ConfigError: onnxruntime is not installed.
    """
    runtime = extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    sha256 = session.get_modelmeta().custom_metadata_map.get("student_sha256", "")
    return Opened(lambda images: session.run([PROBABILITY], {IMAGE: images})[0], sha256)


def open_openvino(path: Path) -> Opened:
    """Open a file of ``export_openvino`` with OpenVINO on the CPU, in full precision, on as many threads as torch has.

    Raises:
        ConfigError: openvino is not installed.
    """
    openvino = extra("openvino", "openvino")
    core = openvino.Core()
    model = core.read_model(path)
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", {**PRECISE, **threads})
    key = ["labelmine", "student_sha256"]
    sha256 = model.get_rt_info(key).astype(str) if model.has_rt_info(key) else ""
    return Opened(lambda images: compiled({IMAGE: images})[0], sha256)


#: By the value of ``--runtime``: where the file lies in a run's folder, and who opens it.
RUNTIMES: Mapping[str, tuple[str, Callable[[Path], Opened]]] = MappingProxyType(
    {
        "onnx": (ONNX_FILE, open_onnx),
        "onnx_int8": (INT8_FILE, open_onnx),
        "openvino": (OPENVINO_FILE, open_openvino),
    }
)


def runtime_student(name: str, student: Student, model_dir: Path, output_dir: Path) -> RuntimeStudent:
    """Return a student as the program of that name runs it.

    Args:
        name: One of `RUNTIMES`.
        student: Torch's student.
        model_dir: Folder that it came from.
        output_dir: Folder of this run; see ``found_or_written``.
    """
    return RuntimeStudent(student, found_or_written(name, model_dir, output_dir).answer)


def found_or_written(name: str, model_dir: Path, output_dir: Path) -> Opened:
    """Open the exported file of a student for one of `RUNTIMES`.

    One that fits the student, by its hash, is taken from the student's folder (``onnx/``, ``openvino/``), else from the
    output folder, where it is otherwise written and kept for a resume.

    Raises:
        ConfigError: The program is not installed; or ``onnx_int8`` was not exported, which needs images.
    """
    facts = StudentFacts.of_file(model_dir / MODEL_FILE)
    file, opens = RUNTIMES[name]
    for folder in (model_dir, output_dir):
        if (folder / file).is_file() and (opened := opens(folder / file)).student_sha256 == facts.sha256:
            logger.info("%s: the student is asked by %s of %s", name, file, folder.name)
            return opened
    if file == INT8_FILE:
        raise ConfigError(
            f"runtime: expected {file} of this student in {model_dir.name}, found none. Make it by 'labelmine export "
            f"onnx {model_dir.name} {model_dir.name}/onnx --int8 true'"
        )
    logger.info("%s: the student is written as %s of %s, once", name, file, output_dir.name)
    return opens(_written(facts, output_dir, file))


def _written(facts: StudentFacts, folder: Path, file: str) -> Path:
    path = export_onnx(facts, folder / ONNX_FILE)
    return path if file == ONNX_FILE else export_openvino(facts, path, folder / file)
