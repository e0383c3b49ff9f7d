from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest

from labelmine.data.mask_pattern import MaskPattern
from labelmine.data.pairing import Pairing, pair_by_names, refuse_unlabeled
from labelmine.data.pattern_pairing import pair_by_pattern
from labelmine.errors import DataError

FRENCH = "é"


def paths(*names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


def shown(pairing: Pairing) -> dict[str, list[str]]:
    return {image.id: [str(mask) for mask in image.masks] for image in pairing.images}


@pytest.mark.parametrize(
    ("image", "mask", "pattern"),
    [
        ("images/{}.png", "masks/{}.png", "masks/{id}.png"),
        ("images/{}.jpg", "labels/{}.png", "labels/{id}.png"),
        ("image/{}.png", "mask/{}.png", "mask/{id}.png"),
        ("Images/{}.png", "Masks/{}.png", "Masks/{id}.png"),
        ("imgs/{}.png", "gts/{}.png", "gts/{id}.png"),
        ("img/{}.png", "Ground_Truth/{}.tif", "Ground_Truth/{id}.tif"),
        ("Original/{}.png", "Ground Truth/{}.png", "Ground Truth/{id}.png"),
        ("input/{}.png", "groundtruth/{}.png", "groundtruth/{id}.png"),
        ("images/{}.png", "annotations/{}.png", "annotations/{id}.png"),
        ("images/{}.png", "segmentations/{}.png", "segmentations/{id}.png"),
        ("imagesTr/{}.nii.gz", "labelsTr/{}.nii.gz", "labelsTr/{id}.nii.gz"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", "SegmentationClass/{id}.png"),
        ("images/{}.png", "masks/{}_mask.png", "masks/{id}_mask.png"),
        ("images/{}.png", "masks/{}_segmentation.png", "masks/{id}_segmentation.png"),
        ("images/{}.png", "masks/{}-mask.png", "masks/{id}-mask.png"),
        ("{}.png", "{}_mask.png", "{id}_mask.png"),
        ("{}.nii.gz", "{}_seg.nii.gz", "{id}_seg.nii.gz"),
        ("{}.png", "{}_gt.bmp", "{id}_gt.bmp"),
        ("{}.png", "{}_Label.png", "{id}_Label.png"),
        ("images/{}.png", "images/{}_mask.png", "images/{id}_mask.png"),
        ("{}.bmp", "{}_anno.bmp", "{id}_anno.bmp"),
    ],
)
def test_layouts_of_public_sets(image: str, mask: str, pattern: str) -> None:
    names = ("a", "p1/b (2)", "c.v2", "d[1]")
    found = pair_by_names(paths(*(side.format(name) for name in names for side in (image, mask))))
    assert shown(found) == {name: [mask.format(name)] for name in names}
    assert list(found.patterns) == [pattern]
    assert not found.unpaired
    assert not found.unused
    files = paths(*(side.format(name) for name in names for side in (image, mask)))
    assert shown(pair_by_pattern(files, MaskPattern.parse(pattern))) == shown(found), "the pattern shown says the same"


@pytest.mark.parametrize(
    ("image", "mask", "ids", "pattern"),
    [
        ("train/images/{}.png", "train/masks/{}.png", "train/{}", "{folder}/images/{id} -> {folder}/masks/{id}.png"),
        ("train/{}.jpg", "train_masks/{}_mask.gif", "train/{}", "train/{id} -> train_masks/{id}_mask.gif"),
        ("P1_Data/{}.jpg", "P1_GroundTruth/{}.png", "P1_Data/{}", "P1_Data/{id} -> P1_GroundTruth/{id}.png"),
        ("images/img_{}.png", "masks/mask_{}.png", "img_{}", "images/img_{id} -> masks/mask_{id}.png"),
        ("images/{}.png", "masks/mask_{}.png", "{}", "masks/mask_{id}.png"),
        ("{}/image.png", "{}/label.png", "{}/image", "{folder}/image -> {folder}/label.png"),
        ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz", "{}", "imagesTr/{id}_0000 -> labelsTr/{id}.nii.gz"),
        ("volume-{}.nii", "segmentation-{}.nii", "volume-{}", "volume-{id} -> segmentation-{id}.nii"),
        ("{}/imaging.nii", "{}/segmentation.nii", "{}/imaging", "{folder}/imaging -> {folder}/segmentation.nii"),
        ("{0}/{0}.nii.gz", "{}/GT.nii.gz", "{0}/{0}", "{folder}/* -> {folder}/GT.nii.gz"),
        ("cases/{}/images/x.png", "cases/{}/masks/77.png", "cases/{}/x", "{folder}/images/* -> {folder}/masks/*.png"),
    ],
)  # fmt: skip
def test_layouts_in_two_parts(image: str, mask: str, ids: str, pattern: str) -> None:
    files = paths(*(side.format(name) for name in ("a7", "b7") for side in (image, mask)))
    found = pair_by_names(files)
    assert shown(found) == {ids.format(name): [mask.format(name)] for name in ("a7", "b7")}
    assert list(found.patterns) == [pattern]
    assert shown(pair_by_pattern(files, MaskPattern.parse(pattern))) == shown(found)


def test_several_masks_of_an_image_are_united() -> None:
    beside = pair_by_names(paths("b (1).png", "b (1)_mask.png", "b (1)_mask_1.png", "b (1)_mask_2.png", "c.png"))
    assert shown(beside) == {"b (1)": ["b (1)_mask.png", "b (1)_mask_1.png", "b (1)_mask_2.png"], "c": []}
    assert list(beside.patterns) == ["{id}_mask*.png"]
    numbers = pair_by_names(paths("images/0.png", "images/1.png", "masks/0.png", "masks/0_1.png", "masks/1.png"))
    assert shown(numbers) == {"0": ["masks/0.png", "masks/0_1.png"], "1": ["masks/1.png"]}
    case = pair_by_names(paths("c/x/images/x.png", "c/x/masks/aa.png", "c/x/masks/bb.png", "c/y/images/y.png"))
    assert shown(case) == {"c/x/x": ["c/x/masks/aa.png", "c/x/masks/bb.png"], "c/y/y": []}


def test_a_number_of_names_is_no_further_mask() -> None:
    """Where images are numbered, ``p_2`` is the mask of a lost image, not a second one of ``p``."""
    found = pair_by_names(paths("images/p.png", "images/q.png", "images/q_2.png", "masks/p.png", "masks/p_2.png"))
    assert shown(found) == {"p": ["masks/p.png"], "q": [], "q_2": []}
    assert found.unpaired == {PurePosixPath("masks/p_2.png"): "p_2"}
    alone = pair_by_names(paths("images/p.png", "masks/p_2.png"))
    assert alone.unpaired == {PurePosixPath("masks/p_2.png"): "p_2"}


def test_accents_may_be_stored_apart_and_case_counts() -> None:
    apart = unicodedata.normalize("NFD", FRENCH)
    assert apart != FRENCH
    found = pair_by_names(paths(f"images/{FRENCH}.png", f"masks/{apart}.png", "images/A.png", "masks/a.png"))
    assert shown(found) == {"A": [], FRENCH: [f"masks/{apart}.png"]}


def test_test_images_of_nnunet_are_unlabelled() -> None:
    found = pair_by_names(paths("imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png", "old/c.png"))
    assert shown(found) == {"a": ["labelsTr/a.png"], "b": []}
    assert found.unused == paths("old/c.png")


def test_folders_beside_the_documented_ones_are_no_gold() -> None:
    found = pair_by_names(paths("images/a.png", "masks/a.png", "medsam_box_masks/a.png", "extra/b.png"))
    assert shown(found) == {"a": ["masks/a.png"]}
    assert found.unused == paths("extra/b.png", "medsam_box_masks/a.png")


def test_without_masks_all_files_are_images() -> None:
    assert shown(pair_by_names(paths("x/a.png", "y/a.png"))) == {"x/a": [], "y/a": []}
    found = pair_by_names(paths("images/a.png", "other/b.png"))
    assert (shown(found), found.unused) == ({"a": []}, paths("other/b.png"))


@pytest.mark.parametrize(
    ("files", "patterns"),
    [
        (("images/a.png", "masks/a.png", "gt/a.png"), ("masks/{id}.png", "gt/{id}.png")),
        (("a.png", "a_mask.png", "a_seg.png"), ("{id}_mask.png", "{id}_seg.png")),
        (("images/a.png", "images/a_mask.png", "labels/a.png"), ("images/{id}_mask.png", "labels/{id}.png")),
        (("JPEGImages/a.jpg", "SegmentationClass/a.png", "SegmentationObject/a.png"),
         ("SegmentationClass/{id}.png", "SegmentationObject/{id}.png")),
        # DRIVE: the field of view is named like the images, the gold is not.
        (("images/21_training.tif", "images/22_training.tif", "mask/21_training_mask.gif", "mask/22_training_mask.gif",
          "1st_manual/21_manual1.gif", "1st_manual/22_manual1.gif"),
         ("mask/{id}_mask.gif", "images/{id}_training -> 1st_manual/{id}_manual1")),
        (("imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png"),
         ("imagesTr/{id}_0000 -> labelsTr/{id}", "imagesTr/{id}_0001 -> labelsTr/{id}")),
    ],
)  # fmt: skip
def test_two_readings_stop_and_each_shown_pattern_goes_on(files: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="say which") as caught:
        pair_by_names(paths(*files))
    for pattern in patterns:
        assert f"--mask_pattern '{pattern}'" in str(caught.value)
        found = pair_by_pattern(paths(*files), MaskPattern.parse(pattern))
        assert all(len(image.masks) == 1 for image in found.images)
        assert sum(map(len, shown(found).values())) == len(found.patterns[pattern])


def test_masks_that_match_no_image_stop() -> None:
    files = paths("images/case1.png", "images/case2.png", "gt/gold1x.png", "gt/gold2x.png")
    assert not pair_by_names(files).patterns
    with pytest.raises(DataError, match=r"2 files look like masks .*none is named like an image") as caught:
        refuse_unlabeled(files, "clinic")
    assert "--mask_pattern 'images/case{id} -> gt/gold{id}x'" in str(caught.value)
    assert "--mask_pattern '{id} ->' for no masks" in str(caught.value)
    assert len(pair_by_pattern(files, MaskPattern.parse("images/case{id} -> gt/gold{id}x")).images) == 2
    assert shown(pair_by_pattern(files, MaskPattern.parse("{id} ->"))).keys() == {
        "case1",
        "case2",
        "gt/gold1x",
        "gt/gold2x",
    }


def test_parts_of_a_mask_in_folders_of_their_own_can_be_united() -> None:
    files = paths(*(f"{side}/x{n}_0.png" for n in (1, 2) for side in ("CXR", "ManualMask/left", "ManualMask/right")))
    with pytest.raises(DataError, match="united") as caught:
        refuse_unlabeled(files, "lungs")
    pattern = "CXR/x{id}_0 -> ManualMask/*/x{id}_0"
    assert f"--mask_pattern '{pattern}' (each image's are united)" in str(caught.value)
    found = pair_by_pattern(files, MaskPattern.parse(pattern))
    assert [len(image.masks) for image in found.images] == [2, 2]


def test_masks_without_image_are_no_images() -> None:
    found = pair_by_names(
        paths("c1/imaging.png", "c1/segmentation.png", "c1/parts/kidney_annotation-1.png", "lesion_3.png", "b.png")
    )
    assert [str(path) for path in found.unpaired] == ["c1/parts/kidney_annotation-1.png", "lesion_3.png"]
    named = pair_by_names(paths("lesion_1.png", "lesion_1_mask.png", "lesion_2.png"))
    assert shown(named) == {"lesion_1": ["lesion_1_mask.png"], "lesion_2": []}, "a name that images with masks have"


def test_half_of_the_files_may_be_masks() -> None:
    with pytest.raises(DataError, match="2 files look like masks"):
        refuse_unlabeled(paths("scan 1.png", "scan 2.png", "seg_a.png", "seg_b.png"), "clinic")


def test_a_folder_of_masks_alone_stops() -> None:
    with pytest.raises(DataError, match=r"a_mask.png, .*none is named like an image"):
        refuse_unlabeled(paths("a_mask.png", "b_mask.png"), "clinic")
    with pytest.raises(
        DataError, match=r"labels/ should hold masks by its name, but holds .txt files \(labels/a.txt\)"
    ):
        refuse_unlabeled(paths("images/a.png", "labels/a.txt"), "clinic")
    with pytest.raises(DataError, match=r"clinic: holds masks \(masks/a.png\) and no images"):
        pair_by_names(paths("masks/a.png"), "clinic")
    refuse_unlabeled(paths("images/a.png", "notes/a.txt", "images/b_label.png"), "clinic")


def test_masks_of_one_name() -> None:
    found = pair_by_names(paths("images/a.png", "masks/a.bmp", "masks/a.png"))
    assert shown(found) == {"a": ["masks/a.bmp"]}
    assert found.doubled == {PurePosixPath("masks/a.png"): PurePosixPath("masks/a.bmp")}


def test_a_mask_of_several_images_beside_it_stops_and_each_shown_pattern_goes_on() -> None:
    files = [f"B{n}/B{n}_{what}.nii.gz" for n in range(3) for what in ("t1", "flair", "seg")]
    with pytest.raises(DataError, match=r"B0_seg.nii.gz is the mask of 2 images \(\{id\}_flair, \{id\}_t1\)") as stop:
        refuse_unlabeled([PurePosixPath(file) for file in files], "set")
    assert "--mask_pattern '{id}_t1 -> {id}_seg'" in str(stop.value)


def test_the_hint_takes_numbers_whole_and_names_each_folder() -> None:
    files = [f"{folder}/{n:03d}.png" for n in range(3) for folder in ("images", "masks/liver", "masks/tumour")]
    with pytest.raises(DataError) as stop:
        refuse_unlabeled([PurePosixPath(file) for file in files], "set")
    assert "'images/{id} -> masks/liver/{id}'; or --mask_pattern 'images/{id} -> masks/tumour/{id}'" in str(stop.value)
