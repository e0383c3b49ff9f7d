from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labelmine.data import ImageSet, prepare_image_set
from labelmine.errors import DataError
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.training import starting_weights


@pytest.fixture
def images(tmp_path: Path, phantom_folder: Callable[..., Path]) -> ImageSet:
    return prepare_image_set(str(phantom_folder(12)), str(tmp_path / "run"))


def trained_on(images: ImageSet, split: str, folder: Path) -> str:
    seen = [item["image"] for item in getattr(images, split)]
    return str(save_compact_teacher(CompactTeacher(64), folder / f"{split}.safetensors", seen))


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_encoder_that_has_seen_the_exam_is_refused(images: ImageSet, split: str, tmp_path: Path) -> None:
    seen = len(getattr(images, split))
    message = rf"{split}.safetensors was trained on {seen} of the {len(images.val + images.test)} images .* imagenet"
    with pytest.raises(DataError, match=message):
        starting_weights(trained_on(images, split, tmp_path), None, images)


def test_an_encoder_may_have_seen_what_trains(images: ImageSet, tmp_path: Path) -> None:
    path = trained_on(images, "train", tmp_path)
    assert starting_weights(path, None, images) == path
    assert starting_weights("compact", None, images) == "compact"
    assert starting_weights(None, None, images) is None
