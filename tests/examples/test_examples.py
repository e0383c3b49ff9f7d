"""The examples run, and do what their guides say."""

from __future__ import annotations

from functools import partial

import pytest

from makers import loaded_script

example = partial(loaded_script, folder="examples")


def test_handler_labels_the_images_without_masks(capsys: pytest.CaptureFixture[str]) -> None:
    example("handler_in_monai_trainer").main(epochs=1)
    assert "3 steps; labels were made for 6 images" in capsys.readouterr().out


def test_own_labeler_marks_the_square_and_refuses_the_field() -> None:
    label = example("own_labeler").label_two_images()
    assert label.accepted.tolist() == [True, False]
    assert label.mask[0].sum() == 16 * 16
    assert label.weight[1].sum() == 0
