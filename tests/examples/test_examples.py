"""The examples run, and do what their guides say."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from labelmine.bundle import bundle_root


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, bundle_root() / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_handler_labels_the_images_without_masks(capsys: pytest.CaptureFixture[str]) -> None:
    example("handler_in_monai_trainer").main(epochs=1)
    assert "3 steps; labels were made for 6 images" in capsys.readouterr().out


def test_own_labeler_marks_the_square_and_refuses_the_field() -> None:
    label = example("own_labeler").label_two_images()
    assert label.accepted.tolist() == [True, False]
    assert label.mask[0].sum() == 16 * 16
    assert label.weight[1].sum() == 0
