from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine

from labelmine.data import ClassMap, Item, LabelStore, read_map
from labelmine.handlers import UncertaintySaver, map_names
from labelmine.quality import PixelCalibration

MEAN, SPREAD, OFFSET = 0.7, 0.2, 1.0


def saver(folder: Path, classes: ClassMap, items: list[Item], calibration: PixelCalibration) -> UncertaintySaver:
    shape = (1, len(classes), 32, 32)
    looks = torch.full(shape, MEAN), torch.full(shape, SPREAD)
    store = LabelStore(folder, classes)
    return UncertaintySaver(
        store, items, None, True, looks=lambda: looks, calibration=calibration, folder=folder / "maps"
    )


def left_half(classes: int) -> Callable[[Engine, object], dict[str, torch.Tensor]]:
    probability = torch.zeros(1, classes, 32, 32)
    probability[..., :16] = 0.9
    return lambda *_: {"pred": probability}


def test_a_map_says_where_the_mask_is_wrong(tmp_path: Path, make_items: Callable[..., list[Item]]) -> None:
    (item,) = items = make_items(1)
    engine = Engine(left_half(1))
    saver(tmp_path, ClassMap(), items, PixelCalibration(slopes=(1.0,), offsets=(OFFSET,))).attach(engine)
    engine.run([{"id": [item["id"]], "original_size": torch.tensor([[64, 64]])}])

    calibrated = float(torch.sigmoid(torch.tensor(MEAN).logit() + OFFSET))
    found = {name: read_map(tmp_path / "maps", item, name) for name in map_names(["object"])}
    assert found["probability"] == pytest.approx(np.full((64, 64), calibrated), abs=1 / 255)
    assert found["spread"] == pytest.approx(np.full((64, 64), SPREAD), abs=1 / 255)
    assert found["wrong"][:, :32] == pytest.approx(np.full((64, 32), 1 - calibrated), abs=1 / 255)
    assert found["wrong"][:, 32:] == pytest.approx(np.full((64, 32), calibrated), abs=1 / 255)
    written = LabelStore(tmp_path, ClassMap()).read_probability(item)
    assert written == pytest.approx(np.full((1, 64, 64), calibrated), abs=1 / 255)
    (expected,) = pd.read_csv(tmp_path / "manifest.csv")["expected_dice"]
    smooth = 64 * 64 / 1000
    assert expected == pytest.approx((2 * 2048 * calibrated + smooth) / (2048 + 4096 * calibrated + smooth), abs=1e-3)


def test_classes_have_their_own_probability_and_slices_are_joined(tmp_path: Path) -> None:
    affine = np.diag([0.5, 2.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(np.zeros((32, 32, 3), np.int16), affine), tmp_path / "scan.nii.gz")
    item = Item(id="scan_frame0001", image=str(tmp_path / "scan.nii.gz"), group="scan", frame=1)
    engine = Engine(left_half(2))
    classes = ClassMap(("liver", "left lung"), (1, 2))
    saver(tmp_path / "out", classes, [item], PixelCalibration.identity(2)).attach(engine)
    engine.run([{"id": [item["id"]], "original_size": torch.tensor([[32, 32]])}])

    names = {"wrong", "spread", "probability/1_liver", "probability/2_left_lung"}
    assert set(map_names(classes.names)) == names
    for name in names:
        volume = nib.load(tmp_path / "out" / "maps" / name / "scan.nii.gz")
        assert np.array_equal(volume.affine, affine)
        assert volume.get_data_dtype() == np.float32
        values = volume.get_fdata()
        slice_of = read_map(tmp_path / "out" / "maps", item, name)
        assert np.array_equal(values[..., 1], slice_of) or np.array_equal(values[..., 1], slice_of.T)
        assert slice_of.max() > 0
        assert not values[..., [0, 2]].any()
