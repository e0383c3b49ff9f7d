from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from labelmine.data.classes import ClassMap
from labelmine.data.items import Item
from labelmine.data.label_store import LabelStore
from labelmine.data.label_volumes import write_label_volumes
from labelmine.data.loading import read_label
from labelmine.data.sources import find_items
from labelmine.errors import DataError

AFFINE = np.array([[0.0, -2, 0, 10], [1.5, 0, 0, -5], [0, 0, 3, 7], [0, 0, 0, 1]])


@pytest.fixture
def volume_set(tmp_path: Path) -> Path:
    """One anisotropic, rotated volume (12, 9, 7) with a name in its header, and its class map."""
    rng = np.random.default_rng(0)
    for folder, values in (("images", rng.normal(size=(12, 9, 7))), ("labels", rng.integers(0, 3, (12, 9, 7)))):
        (tmp_path / "set" / folder).mkdir(parents=True)
        image = nib.Nifti1Image(values.astype(np.float32), AFFINE)
        image.header["descrip"] = b"Anna Example"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Anna Example"))
        nib.save(image, tmp_path / "set" / folder / "scan.nii.gz")
    return tmp_path / "set"


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_slices_return_to_their_place(volume_set: Path, tmp_path: Path, axis: int) -> None:
    classes = ClassMap(("a", "b"), (1, 2))
    items = find_items(volume_set, slice_axis=axis)
    assert len(items) == (12, 9, 7)[axis]
    store = LabelStore(tmp_path / "labels", classes, root=volume_set, slice_axis=axis)
    for item in items[::-1]:
        store.write(item, read_label(item, item["label"], classes, axis), {"accepted": True})
    store.finish()
    written = nib.load(tmp_path / "labels" / "masks" / "scan.nii.gz")
    np.testing.assert_array_equal(
        np.asarray(written.dataobj), np.asarray(nib.load(volume_set / "labels" / "scan.nii.gz").dataobj)
    )
    np.testing.assert_array_equal(written.affine, AFFINE)
    assert written.get_data_dtype() == np.uint8
    assert {path.name for path in (tmp_path / "labels" / "masks").iterdir()} == {"scan.nii.gz"}


def test_no_name_travels(volume_set: Path, tmp_path: Path) -> None:
    item = find_items(volume_set)[2]
    (path,) = write_label_volumes([item], lambda item: np.full((12, 9), 255, np.uint8), ClassMap(), tmp_path / "out")
    written = nib.load(path)
    assert bytes(written.header["descrip"].tobytes()).strip(b"\0") == b""
    assert not written.header.extensions
    values = np.asarray(written.dataobj)
    assert values[..., 2].min() == values.max() == 1
    assert values.sum() == 12 * 9


def test_colours_become_numbers(volume_set: Path, tmp_path: Path) -> None:
    classes = ClassMap(("red", "blue"), ((255, 0, 0), (0, 0, 255)))
    mask = np.zeros((12, 9, 3), dtype=np.uint8)
    mask[:3], mask[5:] = (255, 0, 0), (0, 0, 255)
    (path,) = write_label_volumes([find_items(volume_set)[0]], lambda item: mask, classes, tmp_path / "out")
    values = np.asarray(nib.load(path).dataobj)[..., 0]
    assert (values[:3] == 1).all()
    assert (values[3:5] == 0).all()
    assert (values[5:] == 2).all()


def test_two_dimensional_nifti(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((8, 6, 1)), AFFINE), tmp_path / "flat.nii")
    (item,) = find_items(tmp_path)
    mask = np.zeros((1, 8, 6), dtype=bool)
    mask[0, 2:4] = True
    store = LabelStore(tmp_path / "labels", ClassMap())
    store.write(item, mask, {"accepted": True})
    store.finish()
    written = nib.load(tmp_path / "labels" / "masks" / "flat.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj)[..., 0], mask[0])


def test_earlier_slices_are_joined_after_resume(volume_set: Path, tmp_path: Path) -> None:
    items = find_items(volume_set)
    for part in (items[:3], items[3:]):
        store = LabelStore(tmp_path / "labels", ClassMap())
        for item in part:
            store.write(item, np.ones((1, 12, 9), dtype=bool), {"accepted": True})
    store.finish(items)
    assert np.asarray(nib.load(tmp_path / "labels" / "masks" / "scan.nii.gz").dataobj).all()


def test_mask_of_another_size(volume_set: Path, tmp_path: Path) -> None:
    item = find_items(volume_set)[0]
    with pytest.raises(DataError, match=r"scan_frame0000: mask is \(4, 4\), its slice of scan.nii.gz \(12, 9\)"):
        write_label_volumes([item], lambda item: np.zeros((4, 4), np.uint8), ClassMap(), tmp_path / "out")


@pytest.mark.shared
def test_hippocampus_round_trip(shared_data: Path, tmp_path: Path) -> None:
    classes = ClassMap(("anterior", "posterior"), (1, 2))
    items: list[Item] = find_items(shared_data / "hippocampus")
    store = LabelStore(tmp_path, classes, root=shared_data / "hippocampus")
    for item in items:
        store.write(item, read_label(item, item["label"], classes), {"accepted": True})
    store.finish()
    written = sorted((tmp_path / "masks").glob("*.nii.gz"))
    assert len(written) == 12
    for path in written:
        ours, gold = nib.load(path), nib.load(shared_data / "hippocampus" / "labels" / path.name)
        image = nib.load(shared_data / "hippocampus" / "images" / path.name)
        np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(gold.dataobj))
        np.testing.assert_array_equal(ours.affine, image.affine)
        np.testing.assert_array_equal(ours.affine, gold.affine)
        assert ours.header.get_zooms() == image.header.get_zooms()
        for code in ("qform_code", "sform_code", "xyzt_units"):
            assert ours.header[code] == image.header[code]
