from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from labelmine.data.findings import Findings
from labelmine.data.folder_splits import splits_of_folders


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train/images/a", "val/images/b", "test/images/c"), ("train", "val", "test")),
        (("images/Training/a", "images/Validation/b"), ("train", "val")),
        (("train_images/a", "test_images/b"), ("train", "test")),
        (("imagesTr/a", "imagesTs/b"), ("train", "test")),
        (("train/a", "train/b"), None),
        (("imagesTr/a", "imagesTr/b"), None),
        (("train/a", "test/b", "c"), None),
        (("train/test/a", "train/b"), None),
        (("train set/a", "test set/b"), None),
    ],
)
def test_folders_that_say_a_split(names: tuple[str, ...], splits: tuple[str, ...] | None) -> None:
    paths = [PurePosixPath(f"{name}.png") for name in names]
    expected = dict(zip(paths, splits, strict=True)) if splits else {}
    assert splits_of_folders(paths, Findings()) == expected


def test_it_is_said() -> None:
    findings = Findings()
    splits_of_folders([PurePosixPath("train/a.png"), PurePosixPath("test/b.png")], findings)
    splits_of_folders([PurePosixPath("train/a.png"), PurePosixPath("test/b.png"), PurePosixPath("c.png")], findings)
    assert [row.sentence for row in findings.rows()] == [
        "folders named test, train were taken as the split; list the images in a CSV without `split` to have one drawn",
        "folders named test, train were not taken as the split, as not every image with a mask lies in just one of "
        "them",
    ]
