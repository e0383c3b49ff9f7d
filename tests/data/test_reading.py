from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from labelmine.data import Item, read_image, read_mask
from labelmine.errors import DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def item(path: Path, **fields: int) -> Item:
    return Item({"id": "x", "image": str(path), "group": "x", **fields})


def saved(path: Path, picture: Image.Image | np.ndarray, **options: object) -> Path:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_eight_bits_are_divided_by_255(tmp_path, suffix):
    image = read_image(item(saved(tmp_path / f"a.{suffix}", RGB)))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, RGB / 255, atol=1e-6)


def test_grey_becomes_three_equal_channels(tmp_path):
    image = read_image(item(saved(tmp_path / "a.png", GREY)))
    assert image.shape == (12, 20, 3)
    assert image.flags.writeable
    np.testing.assert_allclose(image, np.stack([GREY] * 3, -1) / 255, atol=1e-6)


def test_jpeg(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (32, 1))
    image = read_image(item(saved(tmp_path / "a.JPG", smooth, quality=95, format="JPEG")))
    np.testing.assert_allclose(image[..., 0], smooth / 255, atol=0.02)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_depth(tmp_path, suffix):
    """Values that differ by less than 1/256 of the range must not fall together."""
    deep = (np.arange(240, dtype=np.uint16) + 30_000).reshape(12, 20)
    path = saved(tmp_path / f"a.{suffix}", deep)
    assert len(np.unique(read_image(item(path)))) > 230
    windowed = read_image(item(path), window=(30_100, 100))[..., 0]
    np.testing.assert_allclose(windowed, np.clip((deep - 30_050.0) / 100, 0, 1), atol=1e-6)


def test_float_tiff_with_missing_values(tmp_path):
    values = np.linspace(-5, 5, 240, dtype=np.float32).reshape(12, 20)
    values[0, 0] = np.nan
    image = read_image(item(saved(tmp_path / "a.tif", values)))
    assert image[0, 0, 0] == 0
    assert (image.min(), image.max()) == (0, 1)


def test_one_bit(tmp_path):
    image = read_image(item(saved(tmp_path / "a.png", Image.fromarray(GREY > 127))))
    np.testing.assert_array_equal(image[..., 0], GREY > 127)


def test_palette_becomes_its_colors(tmp_path):
    picture = Image.fromarray(GREY % 4).convert("P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image = read_image(item(saved(tmp_path / "a.png", picture)))
    table = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])
    np.testing.assert_allclose(image, table[GREY % 4] / 255, atol=1e-6)


def test_transparent_pixels_become_black(tmp_path):
    alpha = np.where(GREY > 127, 255, 0).astype(np.uint8)
    image = read_image(item(saved(tmp_path / "a.png", np.dstack([RGB, alpha]))))
    np.testing.assert_allclose(image, RGB * (alpha[..., None] > 0) / 255, atol=1e-6)
    grey = read_image(item(saved(tmp_path / "b.png", Image.fromarray(np.dstack([GREY, alpha]), mode="LA"))))
    np.testing.assert_allclose(grey[..., 0], GREY * (alpha > 0) / 255, atol=1e-6)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_other_color_spaces_become_rgb(tmp_path, mode):
    flat = Image.new("RGB", (16, 16), (200, 100, 50))
    if mode == "LAB":
        path = saved(tmp_path / "a.tif", Image.new("LAB", (16, 16), (128, 128, 128)))
        expected: tuple[int, ...] = ()
    else:
        path = saved(tmp_path / "a.jpg", flat.convert(mode), quality=98)
        expected = (200, 100, 50)
    image = read_image(item(path))
    assert image.shape == (16, 16, 3)
    if expected:
        np.testing.assert_allclose(image[8, 8] * 255, expected, atol=4)


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", RGB, exif=exif)
    np.testing.assert_allclose(read_image(item(path)), np.rot90(RGB, turn) / 255, atol=1e-6)


def write_nifti(path: Path, array: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 3.0, 4.0, 1.0])), path)
    return path


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_slices_share_the_scale_of_their_volume(tmp_path, axis):
    volume = RNG.normal(100, 30, (7, 8, 9)).astype(np.float32)
    path = write_nifti(tmp_path / "v.nii.gz", volume)
    low, high = np.percentile(volume, (0.5, 99.5))
    image = read_image(item(path, frame=3), slice_axis=axis)
    expected = np.clip((np.take(volume, 3, axis) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image[..., 2], expected, atol=1e-5)


def test_flat_nifti_and_window(tmp_path):
    path = write_nifti(tmp_path / "v.nii", np.arange(20, dtype=np.int16).reshape(4, 5, 1))
    np.testing.assert_allclose(
        read_image(item(path), window=(10, 20))[..., 0], np.arange(20).reshape(4, 5) / 20, atol=1e-6
    )


def test_rewritten_volume_is_read_anew(tmp_path):
    path = tmp_path / "v.nii"
    for value in (1, 2):
        write_nifti(path, np.full((4, 5, 3), value, dtype=np.uint8))
        os.utime(path, ns=(value, value))
        assert read_mask(path, 0).max() == value


def test_dicom_is_read_through_the_same_door():
    path = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    assert read_image(item(path)).shape == (128, 128, 3)


def test_masks_keep_their_values(tmp_path):
    values = (GREY % 3).astype(np.uint8)
    for name in ("m.png", "m.tif", "m.bmp"):
        np.testing.assert_array_equal(read_mask(saved(tmp_path / name, values)), values)
    deep = values.astype(np.uint16) * 1000
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "deep.png", deep)), deep)
    one_bit = saved(tmp_path / "bit.png", Image.fromarray(values > 0))
    np.testing.assert_array_equal(read_mask(one_bit), (values > 0) * 255)


def test_palette_of_a_class_map_only_colors_it(tmp_path):
    picture = Image.fromarray(GREY % 3).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    path = saved(tmp_path / "m.png", picture)
    np.testing.assert_array_equal(read_mask(path), GREY % 3)
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    np.testing.assert_array_equal(read_mask(path, color=True), table[GREY % 3])


def test_grey_palette_gives_grey_levels(tmp_path):
    """Optimisers write binary masks with a palette whose index 0 may be white."""
    picture = Image.fromarray((GREY < 128).astype(np.uint8)).convert("P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    mask = read_mask(saved(tmp_path / "m.png", picture))
    np.testing.assert_array_equal(mask.max(-1) if mask.ndim == 3 else mask, np.where(GREY < 128, 0, 255))


@pytest.fixture
def truncated(tmp_path: Path) -> Path:
    path = saved(tmp_path / "cut.jpg", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def test_truncated_jpeg(truncated):
    with pytest.raises(DataError, match=r"^cut.jpg: cannot be decoded \(image file is truncated"):
        read_image(item(truncated))


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.nii.gz"])
def test_empty_and_foreign_content(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"^{name}: file is empty \(0 bytes\); copy it again"):
        read_image(item(path))
    path.write_text("this is a letter, not an image")
    message = "content is no image in spite of its suffix" if name == "a.png" else "cannot be decoded"
    with pytest.raises(DataError, match=rf"^{name}: {message}") as caught:
        read_image(item(path))
    assert str(tmp_path) not in str(caught.value)


def test_files_that_do_not_fit(tmp_path):
    with pytest.raises(DataError, match=r"gone.png: file does not exist"):
        read_image(item(tmp_path / "gone.png"))
    (tmp_path / "a.xyz").write_text("?")
    with pytest.raises(DataError, match=r"a.xyz: unknown image format; expected PNG"):
        read_image(item(tmp_path / "a.xyz"))
    pages = saved(tmp_path / "p.tif", Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.raises(DataError, match=r"p.tif: holds 2 pages; save each page as a file of its own"):
        read_image(item(pages))
    volume = write_nifti(tmp_path / "v.nii", np.zeros((4, 5, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"v.nii: expected 2 dimensions .* got shape \(4, 5, 3\)"):
        read_mask(volume)
    with pytest.raises(DataError, match=r"v.nii: slice 9 lies outside axis 2"):
        read_mask(volume, 9)
    with pytest.raises(DataError, match=r"CT_small.dcm: masks are read from PNG"):
        read_mask(str(get_testdata_file("CT_small.dcm", download=False)))
    with pytest.raises(DataError, match=r"rtplan.dcm: DICOM file without pixels"):
        read_image(item(Path(str(get_testdata_file("rtplan.dcm", download=False)))))
    colors = nib.Nifti1Image(np.zeros((4, 5, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4))
    nib.save(colors, tmp_path / "rgb.nii")
    with pytest.raises(DataError, match=r"rgb.nii: NIfTI with compound values"):
        read_image(item(tmp_path / "rgb.nii", frame=0))


def test_images_without_a_number_are_refused(tmp_path):
    empty = np.full((8, 8, 4), np.nan, dtype=np.float32)
    nib.save(nib.Nifti1Image(empty, np.eye(4)), tmp_path / "a.nii.gz")
    for image in (item(tmp_path / "a.nii.gz", frame=1), item(saved(tmp_path / "a.tif", empty[..., 0]))):
        with pytest.raises(DataError, match=r"a.*: holds no number .all values are NaN or infinite.; export it again"):
            read_image(image)
