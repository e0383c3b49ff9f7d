from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from labelmine.data import duplicates, run_split
from labelmine.data.image_set import ImageSet, prepare_image_set
from labelmine.errors import ConfigError, DataError

PhantomFolder = Callable[..., Path]


def _splits(found: ImageSet) -> dict[str, str]:
    return {item["id"]: item["split"] for item in found.items}


def test_phantom_set_is_the_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="labelmine"):
        found = prepare_image_set(None, str(tmp_path / "run"), phantom_size=48)
    assert [len(part) for part in (found.train, found.val, found.test, found.unlabeled)] == [16, 12, 40, 92]
    assert all("dropped_label" in item and "label" not in item for item in found.unlabeled)
    assert (found.name, len(found.classes)) == ("phantom", 1)
    assert found.summary["n_gold"] == 16
    assert found.summary["n_quarantined"] == found.summary["n_near_duplicate_pairs"] == found.summary["n_held_out"] == 0
    assert found.summary["n_empty_masks"] == 0
    assert "phantom: n_gold 16, n_gold_val 12" in caplog.text
    assert "160 images (160 .png) in 160 groups: 160 with a mask, 0 without" in caplog.text
    assert "classes: foreground (any value above 0)" in caplog.text
    assert (tmp_path / "run" / "quarantine.csv").is_file()


def test_too_few_phantoms(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="phantom_count: expected 10 or more, got 9"):
        prepare_image_set(None, str(tmp_path), phantom_count=9)


def test_labeled_fraction_drops_more_labels(tmp_path: Path) -> None:
    found = prepare_image_set(None, str(tmp_path), labeled_fraction=0.25, phantom_size=48)
    assert (len(found.train), len(found.unlabeled)) == (4, 104)


def test_second_run_reuses_the_split_without_hashing(
    tmp_path: Path, phantom_folder: PhantomFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = str(phantom_folder(16, labeled=12))
    first = prepare_image_set(dataset, str(tmp_path / "run"))
    monkeypatch.setattr(run_split, "near_duplicates", lambda *_: pytest.fail("hashed again"))
    second = prepare_image_set(dataset, str(tmp_path / "run"))
    assert second == first
    with pytest.raises(DataError, match="seed was 0, is now 1"):
        prepare_image_set(dataset, str(tmp_path / "run"), seed=1)


def test_new_images_in_the_set_are_noticed(tmp_path: Path, phantom_folder: PhantomFolder) -> None:
    prepare_image_set(str(phantom_folder(12)), str(tmp_path / "run"))
    with pytest.raises(DataError, match="the images, masks or groups found differ"):
        prepare_image_set(str(phantom_folder(13)), str(tmp_path / "run"))


def test_bad_files_are_counted_and_the_run_goes_on(tmp_path: Path, phantom_folder: PhantomFolder) -> None:
    dataset = phantom_folder(12)
    (dataset / "images" / "case_03.png").write_text("no image")
    (dataset / "masks" / "stray.png").write_bytes((dataset / "masks" / "case_00.png").read_bytes())
    found = prepare_image_set(str(dataset), str(tmp_path / "run"))
    assert found.summary["n_quarantined"] == 2
    assert len(found.items) == 11
    assert set(pd.read_csv(tmp_path / "run" / "quarantine.csv")["id"]) == {"case_03", "stray"}


def test_copied_images_share_a_split(tmp_path: Path, phantom_folder: PhantomFolder) -> None:
    dataset = phantom_folder(12)
    for folder in ("images", "masks"):
        for number in range(12):
            content = (dataset / folder / f"case_{number:02d}.png").read_bytes()
            (dataset / folder / f"copy_{number:02d}.png").write_bytes(content)
    found = prepare_image_set(str(dataset), str(tmp_path / "run"))
    splits = _splits(found)
    assert found.summary["n_near_duplicate_pairs"] == 12
    assert all(splits[f"case_{number:02d}"] == splits[f"copy_{number:02d}"] for number in range(12))


def test_no_gold(tmp_path: Path, phantom_folder: PhantomFolder) -> None:
    with pytest.raises(DataError, match=r"too little gold: none of the 5 images has a mask"):
        prepare_image_set(str(phantom_folder(5, labeled=0)), str(tmp_path / "run"))
    assert not (tmp_path / "run" / "split.json").exists()


def test_wrong_knob_stops_before_reading(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labeled_fraction"):
        prepare_image_set(str(tmp_path / "missing"), str(tmp_path / "run"), labeled_fraction=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.shared
def test_hippocampus_volumes_are_groups(shared_data: Path, tmp_path: Path) -> None:
    found = prepare_image_set(str(shared_data / "hippocampus"), str(tmp_path))
    assert len(found.classes) == 2
    volumes = {split: {item["group"] for item in getattr(found, split)} for split in ("train", "val", "test")}
    assert {split: len(groups) for split, groups in volumes.items()} == {"train": 10, "val": 1, "test": 1}
    assert found.summary["n_near_duplicate_pairs"] == found.summary["n_quarantined"] == 0


@pytest.mark.shared
def test_few_chest_images(shared_data: Path, tmp_path: Path) -> None:
    found = prepare_image_set(str(shared_data / "cxr_lung"), str(tmp_path), labeled_fraction=0.25)
    assert [len(part) for part in (found.train, found.val, found.test, found.unlabeled)] == [9, 4, 4, 27]


@pytest.mark.shared
def test_breast_duplicates_do_not_straddle(shared_data: Path, tmp_path: Path) -> None:
    found = prepare_image_set(str(shared_data / "busi"), str(tmp_path), labeled_fraction=0.1)
    splits = _splits(found)
    pairs = json.loads((tmp_path / "split.json").read_text())["near_duplicates"]
    assert 90 <= len(pairs) <= 110
    assert all(splits[a] == splits[b] for a, b, distance in pairs if distance <= duplicates.MAX_DISTANCE)


def test_the_split_of_another_run(phantom_folder: PhantomFolder, tmp_path: Path) -> None:
    folder = str(phantom_folder(20))
    first = prepare_image_set(folder, str(tmp_path / "first"), seed=3, labeled_fraction=0.5)
    file = tmp_path / "first" / "split.json"
    for _ in range(2):  # the second time it goes on from its own split.json
        other = prepare_image_set(folder, str(tmp_path / "other"), seed=4, split_file=str(file))
        assert _splits(other) == _splits(first)
    with pytest.raises(DataError, match="split_file was"):
        prepare_image_set(folder, str(tmp_path / "other"), seed=4)


def test_what_was_assumed_goes_with_the_set(phantom_folder: PhantomFolder, tmp_path: Path) -> None:
    folder = phantom_folder(12)
    for path in (folder / "masks").iterdir():
        smooth = Image.open(path).convert("L").resize((96, 96)).resize((48, 48), Image.Resampling.BILINEAR)
        smooth.rotate(1, resample=Image.Resampling.BICUBIC).save(path)
    images = prepare_image_set(str(folder), str(tmp_path / "run"))
    assert [row.kind for row in images.findings] == ["pairing", "levels"]
    assert images.classes.levels == (0, 255)
