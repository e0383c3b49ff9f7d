"""An exported student answers as torch's, and its file says whose it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import load_net_with_metadata

from labelmine.deployment import StudentFacts, export_onnx, export_torchscript, open_onnx, open_openvino
from labelmine.errors import ConfigError
from labelmine.extras import extra
from labelmine.transforms import StudentView, to_original


@pytest.fixture(scope="module")
def facts(exported: Path) -> StudentFacts:
    return StudentFacts.of_file(exported / "model.safetensors", "CC-BY-4.0")


@pytest.mark.parametrize(("opens", "file"), [(open_onnx, "onnx/model.onnx"), (open_openvino, "openvino/model.xml")])
def test_whole_images_get_torchs_answer(facts: StudentFacts, exported: Path, opens: object, file: str) -> None:
    opened = opens(exported / file)  # type: ignore[operator]
    assert opened.student_sha256 == facts.sha256
    for size in ((64, 64), (150, 90), (40, 61)):
        image = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.float32)
        sample = {"image": torch.from_numpy(image).movedim(-1, 0) / 255, "label": torch.zeros(1, *size)}
        with torch.no_grad():
            right = to_original(facts.student(StudentView(64)(sample)["image"][None]).sigmoid()[0], size).numpy()
        found = opened.answer(np.stack([image, image]))
        np.testing.assert_allclose(found[0], right, atol=1e-4)
        np.testing.assert_allclose(found[0], found[1], atol=1e-5)
        assert 0.05 < (right > 0.5).mean() < 0.95


def test_the_onnx_file_says_what_it_is(facts: StudentFacts, exported: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported / "onnx" / "model.onnx")
    told = {one.key: one.value for one in model.metadata_props}
    assert json.loads(told["class_names"]) == ["object"]
    assert told["image_size"] == "64"
    assert told["student_sha256"] == facts.sha256
    assert told["licence"] == "CC-BY-4.0"
    assert len(model.opset_import) == 1
    (image,), (probability,) = model.graph.input, model.graph.output
    shapes = [[d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim] for one in (image, probability)]
    assert shapes == [["N", "H", "W", 3], ["N", 1, "H", "W"]]
    assert str(exported).encode() not in model.SerializeToString()


def test_torchscript_is_read_by_monai(facts: StudentFacts, tmp_path: Path) -> None:
    path = export_torchscript(facts, tmp_path / "model.ts")
    network, told, _ = load_net_with_metadata(str(path))
    assert told["class_names"] == ["object"]
    assert told["licence"] == "CC-BY-4.0"
    views = torch.rand(3, 3, 96, 32)  # other than it was traced with
    with torch.no_grad():
        torch.testing.assert_close(network(views), facts.student(views))


def test_a_missing_package_is_named_with_its_extra(
    facts: StudentFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r'^this needs onnx, which is not there: pip install "labelmine\[onnx\]"$'):
        export_onnx(facts, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r'^this needs nowhere, which is not there: pip install "labelmine\[any\]"$'):
        extra("nowhere.at_all", "any")
    assert list(tmp_path.iterdir()) == []
