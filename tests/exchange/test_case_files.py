"""Files of single cases: links, channels, volumes of odd types, names that meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import Item, read_image
from labelmine.errors import DataError
from labelmine.exchange.case_files import cases_of, write_image
from labelmine.exchange.label_set import LabelledImage, LabelSet


def picture_set(path: Path, **changes: object) -> LabelSet:
    image = LabelledImage(Item(id="a", image=str(path), group="a"), "train", "gold")
    return replace(LabelSet("one", None, [image]), **changes)  # type: ignore[arg-type]


GREY = np.arange(60, dtype=np.uint8).reshape(6, 10)
COLOUR = np.stack([GREY, GREY + 1, GREY], axis=-1)


@pytest.mark.parametrize(
    ("pixels", "name", "colour", "linked"),
    [
        (GREY, "a.png", None, "a.png"),
        (GREY, "a.png", False, "a.png"),
        (GREY, "a.png", True, ""),
        (COLOUR, "a.png", True, "a.png"),
        (np.repeat(GREY[..., None], 3, -1), "a.png", None, "a.png"),
        (np.repeat(GREY[..., None], 3, -1), "a.png", False, ""),
        (COLOUR, "a.BMP", None, "a.bmp"),
        (COLOUR, "a.BMP", True, ""),
        (GREY.astype(np.uint16) * 300, "a.png", None, ""),
    ],
)
def test_a_picture_is_linked_only_where_it_can_stay_as_it_is(
    pixels: np.ndarray, name: str, colour: bool | None, linked: str, tmp_path: Path
) -> None:
    source = tmp_path / "in" / name
    source.parent.mkdir()
    Image.fromarray(pixels).save(source)
    labels = picture_set(source, image_files="link")
    path = write_image(cases_of(labels, volumes=False)[0], labels, tmp_path / "out" / "a", colour)
    assert path.name == (linked or "a.png")
    assert path.is_symlink() == bool(linked)
    wanted = labels.read_pixels(labels.images[0])
    found = np.asarray(Image.open(path))
    if colour is not None:
        assert (found.ndim == 3) == colour
    np.testing.assert_array_equal(found[..., 0] if found.ndim > wanted.ndim else found, wanted)


@pytest.mark.parametrize("how", ["copy", "link"])
def test_dicom_goes_out_as_the_picture_that_the_student_sees(
    how: str, make_dicom: Callable[..., Path], tmp_path: Path
) -> None:
    pixels = np.arange(60, dtype=np.uint16).reshape(6, 10) * 50
    source = make_dicom(pixels, WindowCenter=1500, WindowWidth=1000, PatientName="Erika^Mustermann")
    labels = picture_set(source, image_files=how)
    path = write_image(cases_of(labels, volumes=True)[0], labels, tmp_path / "out" / "a")
    assert not path.is_symlink()
    assert b"Mustermann" not in path.read_bytes()
    found = np.asarray(Image.open(path))
    np.testing.assert_array_equal(found, (read_image(labels.images[0].item)[..., 0] * 255).round())
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64", "int64"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_volume_keeps_its_values(dtype: str, suffix: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 200, (4, 5, 3)).astype(dtype)
    volume = nib.Nifti1Image(values, np.diag([2, 3, 4, 1]), dtype=dtype)
    nib.save(volume, tmp_path / f"a{suffix}")
    for how in ("copy", "link"):
        labels = picture_set(tmp_path / f"a{suffix}", image_files=how)
        (case,) = cases_of(labels, volumes=True)
        path = write_image(case, labels, tmp_path / how / "a")
        assert path.is_symlink() == (how == "link" and suffix == ".nii.gz")
        np.testing.assert_array_equal(np.asanyarray(nib.load(path).dataobj), values)


def test_names_that_meet_are_refused(make_label_set: Callable[..., LabelSet]) -> None:
    labels = make_label_set()
    twin = replace(labels.images[0], item=Item({**labels.images[0].item, "id": "p__a"}))
    with pytest.raises(DataError, match="p/a and p__a would both be exported as p__a; rename one"):
        cases_of(replace(labels, images=[*labels.images, twin]), volumes=False)
    slices = [Item(id=f"{name}_frame0000", image="x.nii.gz", group=name, frame=0) for name in ("a/b", "a__b")]
    volumes = replace(labels, images=[LabelledImage(item, "train", "gold") for item in slices])
    with pytest.raises(DataError, match="a/b_frame0000 and a__b_frame0000 would both be exported as a__b_frame0000"):
        cases_of(volumes, volumes=True)
