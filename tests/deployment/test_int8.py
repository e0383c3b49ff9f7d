"""Quantisation to 8 bits: which layers, how close, and what the file says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelmine.deployment import open_onnx
from labelmine.deployment.examined import compare_files, whole_image
from labelmine.deployment.int8 import add_measured, export_int8
from labelmine.deployment.whole_image import around

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
numpy_helper = onnx.numpy_helper


def convolutions() -> Any:
    """A core of four convolutions that blurs and doubles what is bright."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        core (float[N, 3, 32, 32] view) => (float[N, 1, 32, 32] logits)
        {
          a = Conv <pads = [1, 1, 1, 1]> (view, w0)
          b = Conv <pads = [1, 1, 1, 1]> (a, w1)
          c = Conv <pads = [1, 1, 1, 1]> (b, w2)
          middle = Constant <value_float = 0.5> ()
          d = Sub (c, middle)
          logits = Conv (d, w3)
        }""")
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}"
    shapes = [(4, 3, 3, 3), (4, 4, 3, 3), (4, 4, 3, 3), (1, 4, 1, 1)]
    for number, shape in enumerate(shapes):
        weights = np.full(shape, 8.0 if number == 3 else 1 / np.prod(shape[1:]), np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, f"w{number}"))
    return model


def items(count: int, gold: bool) -> list[Any]:
    made = []
    for number in range(count):
        image = torch.zeros(3, 40, 30 + number)
        image[:, 5 : 20 + number, 4:25] = 0.9
        label = (image[:1] > 0.5).float()
        made.append({"id": str(number), "image": image, "label": label, "is_labeled": gold and number % 2 == 0})
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("int8")
    model = around(convolutions(), 32, 1, False)
    onnx.helper.set_model_props(model, {"student_sha256": "abc"})
    onnx.save(model, folder / "model.onnx")
    images = map(whole_image, items(4, gold=False))
    return folder / "model.onnx", export_int8(folder / "model.onnx", folder / "quick" / "model_int8.onnx", images)


def test_all_but_the_first_and_the_last_convolution_have_8_bits(files: tuple[Path, Path]) -> None:
    exact, quick = (onnx.load(file) for file in files)
    nodes = [node for node in quick.graph.node if node.op_type == "Conv"]
    makers = {output: node.op_type for node in quick.graph.node for output in node.output}
    assert [makers.get(node.input[1]) == "DequantizeLinear" for node in nodes] == [False, True, True, False]
    assert "DequantizeLinear" not in {node.op_type for node in exact.graph.node}
    assert {one.key: one.value for one in quick.metadata_props} == {"student_sha256": "abc", "precision": "int8"}
    assert [path.name for path in files[1].parent.iterdir()] == ["model_int8.onnx"]


def test_its_masks_are_compared_with_the_exact_ones_and_with_gold(files: tuple[Path, Path]) -> None:
    exact, quick = (open_onnx(file).answer for file in files)
    figures = compare_files(exact, quick, items(5, gold=True))
    assert figures["images"] == 5
    assert figures["images_with_gold"] == 3
    assert 0.97 < figures["dice_with_float"] < 1
    assert 0.8 < figures["gold_dice_float"] < 1
    assert figures["gold_dice"] == pytest.approx(figures["gold_dice_float"], abs=0.03)
    same = compare_files(exact, exact, items(2, gold=False))
    assert same == {"images": 2, "dice_with_float": 1.0}


def test_figures_go_into_the_file(files: tuple[Path, Path]) -> None:
    add_measured(files[1], {"dice_with_float": 0.98})
    told = {one.key: one.value for one in onnx.load(files[1]).metadata_props}
    assert json.loads(told["measured"]) == {"dice_with_float": 0.98}
    assert told["student_sha256"] == "abc"
    assert open_onnx(files[1]).student_sha256 == "abc"
