from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import label as components

from labelmine.data.phantom import phantom, write_phantom_set
from labelmine.errors import ConfigError


@pytest.mark.parametrize("size", [32, 96, 129])
def test_shapes_types_and_values(size: int) -> None:
    image, mask = phantom(0, 1, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == mask.dtype == np.uint8
    assert mask.shape == (size, size)
    assert set(np.unique(mask)) <= {0, 255}


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, again, other = phantom(3, 7), phantom(3, 7), phantom(4, 7)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert (first[0] != phantom(3, 8)[0]).any()


def test_set_is_varied() -> None:
    samples = [phantom(0, index) for index in range(80)]
    areas = np.array([(mask > 0).mean() for _, mask in samples])
    counts = {components(mask)[1] for _, mask in samples}
    grey = [bool((image[..., 0] == image[..., 2]).all()) for image, _ in samples]
    assert {0, 1, 2} <= counts
    assert 0.04 < (areas == 0).mean() < 0.25
    assert areas.max() > 0.2
    assert areas[areas > 0].min() < 0.03
    assert 0.2 < np.mean(grey) < 0.8


def test_threshold_does_not_solve_it() -> None:
    """Intensity alone must not tell lesions from tissue, else the default run shows nothing."""
    scores = []
    for index in range(40):
        image, mask = phantom(0, index)
        dark = image.mean(-1) < np.quantile(image.mean(-1), 0.15)
        if mask.any():
            scores.append(2 * (dark & (mask > 0)).sum() / (dark.sum() + (mask > 0).sum()))
    assert np.mean(scores) < 0.5


def test_too_small_is_an_error() -> None:
    with pytest.raises(ConfigError, match="phantom size: expected 32 pixels or more, got 16"):
        phantom(0, 0, 16)


def test_written_set(tmp_path: Path) -> None:
    table = pd.read_csv(
        write_phantom_set(tmp_path / "set", n_train=2, n_val=1, n_test=2, seed=5, size=48, n_unlabeled=5)
    )
    assert list(table["split"]) == ["train"] * 2 + ["val"] + ["test"] * 2 + ["unlabeled"] * 5
    assert list(table.columns) == ["id", "image", "label", "split"]
    image, mask = phantom(5, 4, 48)
    row = table.iloc[4]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "set" / row["image"])), image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "set" / row["label"])), mask)
    assert not list((tmp_path / "set").glob("*.tmp"))
