from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from dicom_makers import write_dicom
from labelmine.data import ClassMap, ImageSet, Item, read_image
from labelmine.errors import DataError
from labelmine.review.pictures import Picture, from_stacked_png, picture_of, stacked_png, thumbnail, tidied
from makers import dicom_file


def sent(path: Path, frame: int | None = None) -> tuple[Picture, np.ndarray, np.ndarray]:
    """A picture as it is sent, what a browser makes of it in [0, 1], and what the student sees."""
    item = Item(id="a", image=str(path), group="a")
    if frame is not None:
        item["frame"] = frame
    images = ImageSet("set", path.parent, [item], ClassMap(), None, -1, {})
    picture = picture_of(item, images)
    with Image.open(io.BytesIO(picture.png)) as file:
        pixels = np.asarray(file).astype(np.float64)
    if not picture.deep:
        return picture, pixels / 255, read_image(item)
    levels = (pixels[..., 0] * 256 + pixels[..., 1]) / 65535
    shown = np.clip((levels - picture.low) / (picture.high - picture.low), 0, 1)
    return picture, np.repeat(shown[..., None], 3, axis=-1), read_image(item)


def ramp(dtype: str, low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 40 * 30).reshape(40, 30).astype(dtype)


def nifti(path: Path, values: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(np.stack([values, values], -1), np.eye(4)), path)
    return path


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_deep_dicom_opens_as_the_student_sees_it_and_keeps_all_levels(name: str) -> None:
    picture, shown, seen = sent(dicom_file(name))
    assert picture.deep
    assert abs(shown - seen).max() < 0.02


def test_inverted_dicom(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", ramp("uint16", 100, 3000), PhotometricInterpretation="MONOCHROME1")
    picture, shown, seen = sent(path)
    assert picture.deep
    assert abs(shown - seen).max() < 0.02
    assert shown[0, 0, 0] > shown[-1, -1, 0]


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", 0.0, 1.0e-3),
        ("float32", 1.0e5, 6.0e5),
        ("float32", -5.0e8, 5.0e8),
        ("int16", -1024, 3071),
        ("uint8", 3, 90),
    ],
)
def test_values_of_any_unit(dtype: str, low: float, high: float, tmp_path: Path) -> None:
    picture, shown, seen = sent(nifti(tmp_path / "a.nii.gz", ramp(dtype, low, high)), frame=0)
    assert picture.deep
    assert abs(shown - seen).max() < 0.02
    with Image.open(io.BytesIO(picture.png)) as file:
        pixels = np.asarray(file).astype(int)
    assert len(np.unique(pixels[..., 0] * 256 + pixels[..., 1])) == len(np.unique(ramp(dtype, low, high)))


def test_pictures_of_16_bits_are_deep_and_those_of_8_are_sent_as_they_are(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", ramp("uint16", 10, 60000))
    assert sent(tmp_path / "deep.tif")[0].deep
    color = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(color).save(tmp_path / "flat.png")
    picture, shown, _ = sent(tmp_path / "flat.png")
    assert (picture.deep, picture.low, picture.high) == (False, 0, 1)
    assert (np.round(shown * 255) == color).all()


def test_a_constant_image_is_shown(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.full((8, 9), 500, np.uint16))
    assert np.isfinite(sent(tmp_path / "flat.tif")[1]).all()


def test_masks_there_and_back() -> None:
    mask = np.random.default_rng(0).random((3, 17, 21)) > 0.5
    assert (from_stacked_png(stacked_png(mask), (3, 17, 21)) == mask).all()
    with pytest.raises(DataError, match="expected 21 x 34 pixels, got 21 x 51"):
        from_stacked_png(stacked_png(mask), (2, 17, 21))
    with pytest.raises(DataError, match="expected a PNG file"):
        from_stacked_png(stacked_png(mask)[:60], (3, 17, 21))


def test_smoothing_and_holes() -> None:
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 10:50, 10:50] = True
    mask[0, 30, 30] = mask[0, 20:24, 20:24] = False
    mask[0, 5, 30] = True
    filled = tidied(mask, "fill")
    assert filled[0, 10:50, 10:50].all()
    assert filled[0, 5, 30]
    smooth = tidied(filled, "smooth")
    assert not smooth[0, 5, 30]  # a speck
    assert smooth[0, 12:48, 12:48].all()


def test_a_thumbnail_shows_the_outline() -> None:
    mask = np.zeros((1, 300, 200), bool)
    mask[0, 100:200, 50:150] = True
    with Image.open(io.BytesIO(thumbnail(np.zeros((300, 200, 3), np.float32), mask))) as small:
        pixels = np.asarray(small).astype(int)
    assert max(pixels.shape) == 112
    yellow = pixels[..., 0] - pixels[..., 2] > 60
    assert yellow[30:80, 12:60].sum() > 50
    assert not yellow[:30].any()
    assert not yellow[45:65, 28:46].any()  # inside, the image is seen
