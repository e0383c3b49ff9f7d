from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap, Item
from labelmine.errors import DataError
from labelmine.evaluation import image_facts
from labelmine.evaluation.image_facts import measure_images


@pytest.fixture
def two_classes(tmp_path: Path) -> Item:
    """An image of 20 x 10 pixels, JPEG by content; class 1: parts of 6 and 1 pixels; class 2: 4 pixels at the edge."""
    Image.fromarray(np.full((10, 20), 90, np.uint8)).save(tmp_path / "a.png", format="JPEG")
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 3:6], mask[7, 10], mask[4:6, 18:] = 1, 1, 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return Item(id="a", image=str(tmp_path / "a.png"), label=str(tmp_path / "mask.png"), group="a")


def test_facts_of_an_image_with_two_classes(two_classes: Item) -> None:
    facts = image_facts.image_facts(two_classes, ClassMap.from_config(2))
    assert (facts.format, facts.modality, facts.size, facts.spacing) == ("JPEG", "grey", (10, 20), None)
    assert facts.areas == pytest.approx((7 / 200, 4 / 200))
    assert [sorted(shares) for shares in facts.lesions] == [[1 / 200, 6 / 200], [4 / 200]]
    assert facts.touches_border
    assert not image_facts.image_facts(two_classes, ClassMap.from_config({"one": 1})).touches_border


def test_an_image_without_gold_has_no_areas(two_classes: Item) -> None:
    two_classes.pop("label")
    facts = image_facts.image_facts(two_classes, ClassMap())
    assert (facts.areas, facts.lesions, facts.touches_border) == ((), (), False)


def test_dicom_and_nifti_say_modality_and_spacing(make_dicom: Callable[..., Path], shared_nifti: Path) -> None:
    dicom = make_dicom(np.arange(64, dtype=np.uint16).reshape(8, 8), Modality="MR", PixelSpacing=[0.5, 0.25])
    facts = image_facts.image_facts(Item(id="a", image=str(dicom), group="a"), ClassMap())
    assert (facts.format, facts.modality, facts.spacing) == ("DICOM", "MR", (0.5, 0.25))
    slice_of = Item(id="v_frame0001", image=str(shared_nifti), group="v", frame=1)
    facts = image_facts.image_facts(slice_of, ClassMap())
    assert (facts.format, facts.modality, facts.size, facts.spacing) == ("NIfTI", "", (6, 5), (2.0, 3.0))


@pytest.fixture
def shared_nifti(tmp_path: Path) -> Path:
    import nibabel as nib

    volume = np.random.default_rng(0).random((6, 5, 4), dtype=np.float32)
    nib.save(nib.Nifti1Image(volume, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "v.nii.gz")
    return tmp_path / "v.nii.gz"


def test_of_a_large_set_a_part_is_drawn_and_damaged_files_are_left(
    two_classes: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    torn = Item(id="torn", image=str(tmp_path / "torn.png"), group="torn")
    with pytest.raises(DataError, match="torn"):
        image_facts.image_facts(torn, ClassMap())
    items = [torn, *(Item(**{**two_classes, "id": f"{number}"}) for number in range(9))]  # type: ignore[typeddict-item]
    assert [facts.id for facts in measure_images(items, ClassMap())] == [str(number) for number in range(9)]
    monkeypatch.setattr(image_facts, "MAX_IMAGES", 4)
    drawn = [facts.id for facts in measure_images(items, ClassMap(), seed=1)]
    assert drawn == [facts.id for facts in measure_images(items, ClassMap(), seed=1)]
    assert 3 <= len(drawn) <= 4
