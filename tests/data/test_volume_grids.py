from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine

from labelmine.data import ClassMap, Item, LabelStore, check_items, find_items, read_label
from labelmine.data.volume_grids import NO_GEOMETRY, RESAMPLED, SHIFTED, TURNED, mask_on_image
from labelmine.errors import DataError

RNG = np.random.default_rng(0)
AFFINE = np.array([[-1.0, 0, 0, 19], [0, -1, 0, 23], [0, 0, 2, -7], [0, 0, 0, 1]])
IMAGE = RNG.integers(0, 99, (20, 24, 6)).astype(np.int16)
LABEL = np.zeros(IMAGE.shape, dtype=np.uint8)
LABEL[4:9, 5:15, 1:4] = 1
LABEL[6:9, 8:12, 2:5] = 2


def save(path: Path, array: np.ndarray, affine: np.ndarray | None, codes: int | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    if codes is not None:
        image.header["sform_code"] = image.header["qform_code"] = codes
    nib.save(image, path)
    return path


def placed(tmp_path: Path, label: np.ndarray, affine: np.ndarray | None, image_affine: np.ndarray = AFFINE):
    image = save(tmp_path / "images" / "a.nii.gz", IMAGE, image_affine)
    return mask_on_image(save(tmp_path / "masks" / "a.nii.gz", label, affine), image)


def steps(scale: float | tuple[float, ...], offset: tuple[float, ...]) -> np.ndarray:
    """Affine of a mask whose index i lies at scale * i + offset in the image."""
    return AFFINE @ nib.affines.from_matvec(np.diag(np.broadcast_to(scale, 3).astype(float)), offset)


def test_one_grid_needs_no_word(tmp_path):
    label, note = placed(tmp_path, LABEL, AFFINE)
    np.testing.assert_array_equal(label, LABEL)
    assert note == ""


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_other_orders_of_the_axes(tmp_path, axes, flips):
    turn = np.eye(4)[:, [*axes, 3]]
    stored = LABEL.transpose(axes)
    for axis in flips:
        stored = np.flip(stored, axis)
        turn = turn @ nib.affines.from_matvec(
            np.diag([-1 if i == axis else 1 for i in range(3)]),
            [stored.shape[axis] - 1 if i == axis else 0 for i in range(3)],
        )
    label, note = placed(tmp_path, np.ascontiguousarray(stored), AFFINE @ turn)
    np.testing.assert_array_equal(label, LABEL)
    assert note == (TURNED if flips or axes != (0, 1, 2) else "")


def nearest(label: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Independent re-computation: each image voxel takes the mask voxel that is nearest in space."""
    grid = np.stack(np.meshgrid(*map(np.arange, IMAGE.shape), indexing="ij"), axis=-1)
    index = np.rint(apply_affine(np.linalg.inv(affine) @ AFFINE, grid)).astype(int)
    index = np.clip(index, 0, np.array(label.shape) - 1)
    return label[tuple(np.moveaxis(index, -1, 0))]


@pytest.mark.parametrize(
    ("label", "affine"),
    [
        (np.kron(LABEL, np.ones((2, 2, 2), np.uint8)), steps(0.5, (-0.25, -0.25, -0.25))),
        (np.kron(LABEL, np.ones((1, 1, 3), np.uint8)), steps((1, 1, 1 / 3), (0, 0, -1 / 3))),
        (np.pad(LABEL, 2), steps(1, (-2, -2, -2))),
        (LABEL[::2, ::2, ::2].copy(), steps(2, (0.49, 0.48, 0.5))),
    ],
    ids=["finer", "thinner slices", "larger", "coarser"],
)
def test_other_grids_are_resampled(tmp_path, label, affine):
    found, note = placed(tmp_path, label, affine)
    np.testing.assert_array_equal(found, nearest(label, affine))
    assert (note, found.dtype, set(np.unique(found))) == (RESAMPLED, LABEL.dtype, {0, 1, 2})


def test_shift_below_half_a_voxel(tmp_path):
    label, note = placed(tmp_path, LABEL, steps(1, (0.3, 0, 0)))
    np.testing.assert_array_equal(label, LABEL)
    assert note == SHIFTED


@pytest.mark.parametrize(
    ("label", "affine", "uncovered"),
    [
        (LABEL[3:12, 4:18].copy(), steps(1, (3, 4, 0)), 8),
        (LABEL, steps(1, (100, 0, 0)), 100),
        (LABEL, steps(1, (0, 0, 2)), 2),
    ],
    ids=["cropped", "elsewhere", "two slices off"],
)
def test_grids_that_do_not_cover_the_image(tmp_path, label, affine, uncovered):
    with pytest.raises(DataError) as caught:
        placed(tmp_path, label, affine)
    assert str(caught.value).startswith(
        f"mask volume has shape {label.shape}, its image (20, 24, 6), and by its affine"
    )
    assert f"leaves up to {uncovered} voxels of the image uncovered (cropped" in str(caught.value)


def test_rotated_grid_is_refused(tmp_path):
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    rotated = nib.affines.from_matvec(turn @ AFFINE[:3, :3], AFFINE[:3, 3])
    with pytest.raises(DataError, match="voxels of the image uncovered"):
        placed(tmp_path, LABEL, rotated)
    label, note = placed(tmp_path, LABEL, rotated, rotated)
    assert note == ""
    assert np.array_equal(label, LABEL)


def spoilt(tmp_path: Path, place: int, value: float) -> Path:
    """A NIfTI file whose affine holds a value that no program would write on purpose."""
    raw = bytearray(nib.Nifti1Image(LABEL, AFFINE).to_bytes())
    raw[280 + 4 * place : 284 + 4 * place] = np.float32(value).tobytes()
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.nii").write_bytes(raw)
    return tmp_path / "masks" / "a.nii"


@pytest.mark.parametrize(("place", "value"), [(3, np.nan), (10, 0.0), (0, np.inf)], ids=["NaN", "singular", "infinite"])
def test_broken_affine_is_taken_as_stored(tmp_path, place, value):
    image = save(tmp_path / "images" / "a.nii.gz", IMAGE, AFFINE)
    label, note = mask_on_image(spoilt(tmp_path, place, value), image)
    np.testing.assert_array_equal(label, LABEL)
    assert note == NO_GEOMETRY


@pytest.mark.parametrize("affine", [np.eye(4), None], ids=["identity", "absent"])
def test_no_geometry_is_taken_as_stored_where_shapes_agree(tmp_path, affine):
    label, note = placed(tmp_path, LABEL, affine)
    np.testing.assert_array_equal(label, LABEL)
    assert note == NO_GEOMETRY
    with pytest.raises(DataError, match=r"shape \(24, 20, 6\), its image \(20, 24, 6\) \(axes swapped\?\), and one of"):
        placed(tmp_path, LABEL.transpose(1, 0, 2).copy(), affine)
    with pytest.raises(DataError, match=r"shape \(19, 24, 6\), its image \(20, 24, 6\), and one of them does not say"):
        placed(tmp_path, LABEL[1:].copy(), affine)


def test_axes_of_length_one(tmp_path):
    label, note = placed(tmp_path, LABEL[..., None], AFFINE)
    assert (label.shape, note) == (IMAGE.shape, "")
    image = save(tmp_path / "images" / "b.nii.gz", IMAGE[:, :, :1], AFFINE)
    flat, note = mask_on_image(save(tmp_path / "masks" / "b.nii.gz", LABEL[:, :, 2], AFFINE), image)
    assert (flat.shape, note) == ((20, 24, 1), "")


def test_every_reader_sees_the_turned_mask_and_results_lie_on_the_source(tmp_path):
    """The label volume that is written back has the image's affine and order, and holds the gold."""
    (tmp_path / "set").mkdir()
    save(tmp_path / "set" / "images" / "a.nii.gz", IMAGE, AFFINE)
    flip = nib.affines.from_matvec(np.diag([-1, 1, 1]), [19, 0, 0])
    save(tmp_path / "set" / "masks" / "a.nii.gz", LABEL[::-1].copy(), AFFINE @ flip)
    checked = check_items(find_items(tmp_path / "set"), tmp_path / "q.csv")
    assert [(f.sentence, f.count) for f in checked.findings if f.kind == "reading"] == [(TURNED, 1)]
    store = LabelStore(tmp_path / "labels", checked.classes)
    for item in checked.items:
        store.write(item, read_label(item, item["label"], checked.classes), {"accepted": True})
    store.finish()
    written = nib.load(tmp_path / "labels" / "masks" / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), LABEL)
    np.testing.assert_allclose(written.affine, AFFINE)


def test_without_image_a_volume_is_read_as_stored(tmp_path):
    path = save(tmp_path / "masks" / "a.nii.gz", LABEL, AFFINE)
    item = Item(id="a_frame0002", image="", group="a", frame=2)
    np.testing.assert_array_equal(read_label(item, path, ClassMap.from_config(2))[1], LABEL[..., 2] == 2)
