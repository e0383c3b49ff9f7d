"""The graph around a network does to whole images what ``StudentView`` and ``to_original`` do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmine.deployment import open_onnx, open_openvino
from labelmine.deployment.whole_image import around
from labelmine.networks import probabilities
from labelmine.transforms import StudentView, to_original

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

OPEN = {"onnx": open_onnx, "openvino": open_openvino}
CLASSES = ((1, False), (3, False), (2, True))
#: On such sizes half a row is to be rounded: 95 * 192 / 640 = 28.5.
HALVES = [(95, 640), (640, 125), (64, 3), (3, 128), (896, 21), (333, 2)]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, core: Callable[[int, int], Any]) -> dict[Any, Any]:
    folder, made = tmp_path_factory.mktemp("graphs"), {}
    for side, (classes, exclusive) in (*((64, one) for one in CLASSES), (192, CLASSES[0])):
        path: Path = folder / f"{side}_{classes}.onnx"
        model = around(core(side, classes + exclusive), side, classes, exclusive)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        for name, opens in OPEN.items():
            made[name, side, classes, exclusive] = opens(path).answer
    return made


def expected(image: np.ndarray, side: int, classes: int, exclusive: bool) -> np.ndarray:
    pixels = torch.from_numpy(image).movedim(-1, 0).contiguous() / 255
    sample = {"image": pixels, "label": torch.zeros(1, *image.shape[:2])}
    logits = StudentView(side)(sample)["image"][None, : classes + exclusive] * 10 - 5
    return to_original(probabilities(logits, exclusive)[0], (image.shape[0], image.shape[1])).numpy()


def image_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3)).astype(np.float32)


@given(
    height=st.integers(1, 300),
    width=st.integers(2, 300),  # of an image one pixel wide torch 2.15's antialiased resizing repeats the first row
    kind=st.sampled_from(CLASSES),
    name=st.sampled_from(sorted(OPEN)),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_size(answers: Any, height: int, width: int, kind: tuple[int, bool], name: str) -> None:
    image = image_of(height, width)
    found = answers[(name, 64, *kind)](image[None])[0]
    np.testing.assert_allclose(found, expected(image, 64, *kind), atol=2e-4)


@pytest.mark.parametrize("name", sorted(OPEN))
@pytest.mark.parametrize("size", HALVES)
def test_halves_of_rows_are_rounded_alike(answers: Any, size: tuple[int, int], name: str) -> None:
    image = image_of(*size)
    found = answers[name, 192, 1, False](image[None])[0]
    np.testing.assert_allclose(found, expected(image, 192, 1, False), atol=2e-4)


@pytest.mark.parametrize("name", sorted(OPEN))
def test_several_images_of_a_size_and_values_beyond_white(answers: Any, name: str) -> None:
    images = np.stack([image_of(50, 70), image_of(50, 70)[::-1] * 1.5 - 30])
    found = answers[name, 64, 1, False](images)
    small = [expected(one, 64, 1, False) for one in images]
    np.testing.assert_allclose(found, np.stack(small), atol=2e-4)
