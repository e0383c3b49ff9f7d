"""Students that other programs run stand where torch's do; their files are found, or written once."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from labelmine.deployment import RuntimeStudent, found_or_written, runtime_student, runtimes
from labelmine.errors import ConfigError
from labelmine.networks import Student, TestTimeAverage, network_behind, probabilities
from labelmine.prediction import Predictor


@pytest.mark.parametrize("exclusive", [False, True])
def test_logits_stand_for_what_the_file_answers(exclusive: bool) -> None:
    given = []

    def answer(images: NDArray[np.float32]) -> NDArray[np.float32]:
        given.append(images)
        shares = np.moveaxis(images[..., :2] / 255, -1, 1) / 2
        return np.ascontiguousarray(shares)

    student = RuntimeStudent(Student(["a", "b"], "mobilenet_v2", exclusive=exclusive), answer)
    views = torch.rand(2, 3, 32, 32)
    found = probabilities(student(views), exclusive)
    torch.testing.assert_close(found, views[:, :2] / 2)
    assert given[0].shape == (2, 32, 32, 3)
    assert given[0].dtype == np.float32
    assert network_behind(student) is student.student


@pytest.mark.parametrize("name", ["onnx", "openvino"])
@pytest.mark.parametrize("tta", [False, True])
def test_a_predictor_asks_it(exported: Path, tmp_path: Path, name: str, tta: bool) -> None:
    own = Predictor.load(exported / "model.safetensors", tta=tta)
    runtime = runtime_student(name, own.student, exported, tmp_path)
    assert runtime is not None
    asked = Predictor(own.student, 64, tta=tta, runtime=runtime)
    assert isinstance(asked.network, TestTimeAverage if tta else RuntimeStudent)
    weight = torch.ones(2, 1, 64, 64)
    weight[..., 40:] = 0
    batch = {"image": torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), "weight": weight}
    torch.testing.assert_close(asked.probabilities(batch), own.probabilities(batch), atol=1e-4, rtol=0)
    assert list(tmp_path.iterdir()) == []
    assert runtime_student("torch", own.student, exported, tmp_path) is None


def test_a_file_of_another_student_is_passed_over_and_the_own_one_kept(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(exported / "onnx", run / "onnx")
    student, spec = Student.load(exported / "model.safetensors")
    student.save(run / "model.safetensors", **{**spec, "note": "another hash"})
    written = []

    def export(facts: runtimes.StudentFacts, path: Path) -> Path:
        written.append(path)
        onnx = pytest.importorskip("onnx")
        model = onnx.load(exported / "onnx" / "model.onnx")
        onnx.helper.set_model_props(model, facts.as_texts())
        path.parent.mkdir(parents=True)
        onnx.save(model, path)
        return path

    monkeypatch.setattr(runtimes, "export_onnx", export)
    with caplog.at_level(logging.INFO):
        first = found_or_written("onnx", run, out)
        again = found_or_written("onnx", run, out)
    assert written == [out / "onnx" / "model.onnx"]
    assert first.student_sha256 == again.student_sha256 != found_or_written("onnx", exported, out).student_sha256
    assert caplog.messages[:2] == [
        "onnx: the student is written as onnx/model.onnx of out, once",
        "onnx: the student is asked by onnx/model.onnx of out",
    ]
    with pytest.raises(ConfigError, match=r"runtime: expected onnx/model_int8.onnx of this student in run, found none"):
        found_or_written("onnx_int8", run, out)
