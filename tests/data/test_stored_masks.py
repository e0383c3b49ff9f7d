from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from labelmine.data import ClassMap, Item, read_image, read_label, read_mask
from labelmine.data.stored_masks import PICTURE_VOLUME, ROUNDED, read_stored_mask
from labelmine.errors import DataError

BLOB = np.zeros((48, 64), dtype=np.uint8)
BLOB[10:30, 20:50] = 1
CLASSES = BLOB.copy()
CLASSES[30:40, 5:25] = 2


def saved(path: Path, values: np.ndarray | Image.Image, form: str | None = None, **options: object) -> Path:
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    picture.save(path, form, **options)
    return path


def item_of(path: Path) -> Item:
    return Item(id="a", image="a.png", group="a", label=str(path))


@pytest.mark.parametrize(
    ("name", "form"),
    [("m.jpg", "PNG"), ("m.jpeg", "BMP"), ("m.tif", "PNG"), ("m.png", "TIFF"), ("m.bmp", "GIF"), ("m.gif", "GIF")],
)
def test_classes_survive_whatever_the_suffix(tmp_path, name, form):
    path = saved(tmp_path / name, CLASSES, form)
    assert not read_stored_mask(path).is_lossy
    label = read_label(item_of(path), path, ClassMap.from_config(2))
    np.testing.assert_array_equal(label, [CLASSES == 1, CLASSES == 2])


def test_lossless_webp_keeps_classes(tmp_path):
    path = saved(tmp_path / "m.webp", Image.fromarray(CLASSES).convert("RGB"), "WEBP", lossless=True)
    with_profile = saved(tmp_path / "p.webp", Image.open(path), "WEBP", lossless=True, icc_profile=b"odd")
    for one in (path, with_profile):
        stored = read_stored_mask(one)
        assert not stored.is_lossy
        np.testing.assert_array_equal(stored.values.max(axis=-1), CLASSES)


@pytest.mark.parametrize(
    ("name", "form", "options"),
    [
        ("m.png", "JPEG", {"quality": 60}),
        ("m.bmp", "JPEG", {"quality": 90}),
        ("m.jpg", "JPEG", {"quality": 75}),
        ("m.webp", "WEBP", {"quality": 60}),
        ("m.tif", "TIFF", {"compression": "jpeg"}),
    ],
)
def test_smeared_masks_are_cut_at_half_whatever_the_suffix(tmp_path, name, form, options):
    path = saved(tmp_path / name, BLOB * 255, form, **options)
    stored = read_stored_mask(path)
    assert stored.is_lossy
    assert len(np.unique(stored.values)) > 2
    label = read_label(item_of(path), path, ClassMap())
    np.testing.assert_array_equal(label[0], BLOB)
    np.testing.assert_array_equal(read_label(item_of(path), path, ClassMap.from_config({"a": 255})), label)


def test_noise_of_a_lossy_mask_is_no_lesion(tmp_path):
    noise = (np.random.default_rng(0).random((48, 64)) < 0.1).astype(np.uint8) * 2
    path = saved(tmp_path / "m.jpg", noise, quality=100)
    assert read_mask(path).any()
    for classes in (ClassMap(), ClassMap.from_config(2), ClassMap.from_config({"a": [255, 0, 0], "b": [0, 0, 9]})):
        assert not read_label(item_of(path), path, classes).any()


def test_picture_of_a_phone_is_its_first_frame(tmp_path):
    preview = Image.new("RGB", (8, 6), (9, 9, 9))
    path = tmp_path / "m.jpg"
    Image.fromarray(BLOB * 255).convert("RGB").save(path, "MPO", save_all=True, append_images=[preview])
    assert Image.open(path).n_frames == 2
    assert read_stored_mask(path).is_lossy
    np.testing.assert_array_equal(read_label(item_of(path), path, ClassMap())[0], BLOB)
    assert read_image(Item(id="a", image=str(path), group="a")).shape == (48, 64, 3)


def test_several_pages_are_refused(tmp_path):
    pages = [Image.fromarray(BLOB * 255), Image.fromarray(BLOB * 200)]
    for name in ("m.gif", "m.tif", "m.webp"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(DataError, match=rf"{name}: holds 2 pages; save each page"):
            read_mask(tmp_path / name)


def palette(values: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    picture = Image.frombytes("P", values.shape[::-1], values.tobytes())
    picture.putpalette([level for color in colors for level in color])
    return picture


def test_palettes_give_indices_with_their_colors(tmp_path):
    path = saved(tmp_path / "m.png", palette(CLASSES, (0, 0, 0), (255, 0, 0), (0, 255, 0)))
    stored = read_stored_mask(path)
    np.testing.assert_array_equal(stored.values, CLASSES)
    assert stored.palette == {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 255, 0)}


def test_grey_of_a_color_palette_is_an_index(tmp_path):
    """Class 7 of Pascal VOC is grey; a mask of it alone must not be read as the value 128."""
    path = saved(tmp_path / "m.png", palette(BLOB * 2, (0, 0, 0), (128, 0, 0), (128, 128, 128)))
    np.testing.assert_array_equal(read_mask(path), BLOB * 2)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint64, np.float32, np.uint16, np.int32])
def test_wide_values_of_tiff(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "m.tif", CLASSES.astype(dtype))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), CLASSES)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float64])
def test_white_is_zero_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "m.tif", BLOB.astype(dtype), photometric="miniswhite")
    with pytest.raises(DataError, match=r"m.tif: TIFF stored white-is-zero .* save the mask as PNG with 0"):
        read_mask(tmp_path / "m.tif")


def test_signed_bytes(tmp_path):
    """Eight bits -1 are 255; wider ones, and those of NIfTI, may mean 'not looked at'."""
    tifffile.imwrite(tmp_path / "m.tif", -BLOB.astype(np.int8))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), BLOB * 255)
    tifffile.imwrite(tmp_path / "w.tif", -BLOB.astype(np.int16))
    nib.save(nib.Nifti1Image(-BLOB.astype(np.int8), np.eye(4)), tmp_path / "n.nii")
    for name in ("w.tif", "n.nii"):
        with pytest.raises(DataError, match=rf"{name}: mask holds negative or missing values \(lowest -1: 255 stored"):
            read_mask(tmp_path / name)


def test_missing_values(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", np.where(BLOB, np.nan, 0).astype(np.float32))
    with pytest.raises(DataError, match=r"m.tif: mask holds negative or missing values \(NaN\)"):
        read_mask(tmp_path / "m.tif")


def test_undershoot_of_a_spline_is_background(tmp_path):
    values = BLOB * 1.1 - 0.08
    tifffile.imwrite(tmp_path / "m.tif", values.astype(np.float32))
    np.testing.assert_allclose(read_mask(tmp_path / "m.tif"), BLOB * np.float32(1.02), rtol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_rounded_labels_are_integers(tmp_path, count):
    """Saved with a scale of count / 255: 1.00000002, or 0.988 where it does not divide."""
    volume = np.tile(np.arange(count + 1.0), (6, 4))
    image = nib.Nifti1Image(volume, np.eye(4))
    image.set_data_dtype(np.uint8)
    nib.save(image, tmp_path / "m.nii.gz")
    assert not np.array_equal(np.asarray(nib.load(tmp_path / "m.nii.gz").dataobj), volume)
    stored = read_stored_mask(tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(stored.values, volume)
    assert (stored.values.dtype.kind, stored.assumptions) == ("u", (ROUNDED,))


def test_exact_floats_need_no_word(tmp_path):
    nib.save(nib.Nifti1Image(CLASSES.astype(np.float32), np.eye(4)), tmp_path / "m.nii.gz")
    assert read_stored_mask(tmp_path / "m.nii.gz").assumptions == ()


def test_soft_maps_keep_their_fractions(tmp_path):
    soft = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    tifffile.imwrite(tmp_path / "m.tif", soft)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif"), soft)
    tiny = (BLOB / 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "t.tif", tiny)
    np.testing.assert_array_equal(read_mask(tmp_path / "t.tif"), tiny)


@pytest.mark.parametrize(
    ("affine", "stored"),
    [
        (np.diag([-1.0, -1, 1, 1]), BLOB.T),
        (np.array([[1.0, 0, 0, -63], [0, 1, 0, -47], [0, 0, 1, 0], [0, 0, 0, 1]]), BLOB.T[::-1, ::-1]),
        (np.array([[0, -1.0, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), BLOB),
    ],
    ids=["as ITK writes it", "turned", "rows first"],
)
def test_volume_as_mask_of_a_picture(tmp_path, affine, stored):
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stored)[:, :, None], affine), tmp_path / "m.nii.gz")
    mask = read_stored_mask(tmp_path / "m.nii.gz", image=tmp_path / "a.png")
    np.testing.assert_array_equal(mask.values, BLOB)
    assert mask.assumptions == (PICTURE_VOLUME,)


@pytest.mark.parametrize("affine", [np.eye(4), None])
def test_volume_without_axes_as_mask_of_a_picture(tmp_path, affine):
    nib.save(nib.Nifti1Image(BLOB[:, :, None], affine), tmp_path / "m.nii.gz")
    with pytest.raises(DataError, match=r"m.nii.gz: NIfTI mask of a picture whose header does not say how its axes"):
        read_stored_mask(tmp_path / "m.nii.gz", image=tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_formats_that_hold_no_mask(tmp_path):
    dicom = tmp_path / "m.dcm"
    shutil.copyfile(str(get_testdata_file("CT_small.dcm", download=False)), dicom)
    with pytest.raises(DataError, match=r"m.dcm: masks are read from PNG, TIFF, BMP, GIF, WebP, JPEG or NIfTI"):
        read_mask(dicom)
    (tmp_path / "m.tif").write_bytes(b"II*\0 not a TIFF at all")
    with pytest.raises(DataError, match=r"m.tif: cannot be decoded"):
        read_mask(tmp_path / "m.tif")
