from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from torch import Tensor

from labelmine.errors import DataError
from labelmine.synthesis.likeness import diversity, frechet_distance, ms_ssim, nearest_distance


def images(count: int, side: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_frechet_distance_of_gaussians() -> None:
    """Of two normal distributions with diagonal covariances it is known in closed form."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (20000, 3)), rng.normal([1, 0, 0], 2, (20000, 3))
    expected = 1 + 3 * (1 - 2) ** 2
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=0.03)
    assert frechet_distance(torch.from_numpy(a), torch.from_numpy(a)) == pytest.approx(0, abs=1e-3)


def test_few_images_have_no_distance() -> None:
    with pytest.raises(DataError, match="expected two made and two real images or more, got 1 and 5"):
        frechet_distance(torch.rand(1, 4), torch.rand(5, 4))


@pytest.mark.parametrize("side", [16, 32, 64, 256])
def test_an_image_is_like_itself_at_any_size(side: int) -> None:
    torch.testing.assert_close(ms_ssim(images(2, side), images(2, side)), torch.ones(2))
    assert (ms_ssim(images(2, side), images(2, side, seed=1)) < 0.5).all()


def test_one_scale_is_ssim() -> None:
    a, b = images(2, 16), (images(2, 16) + 0.3 * images(2, 16, seed=1)).clamp(0, 1)
    ssim, _ = compute_ssim_and_cs(a, b, spatial_dims=2, kernel_size=(7, 7), kernel_sigma=(1.5, 1.5))
    torch.testing.assert_close(ms_ssim(a, b), ssim.flatten(1).mean(1), atol=1e-4, rtol=0)


def test_a_set_of_copies_is_not_diverse() -> None:
    copies = images(1).repeat(10, 1, 1, 1)
    assert diversity(copies, pairs=70) == pytest.approx(1, abs=1e-4)
    assert diversity(images(10), pairs=70) < 0.5
    with pytest.raises(DataError, match="diversity: expected two images or more, got 1"):
        diversity(images(1))


def test_nearest_distances() -> None:
    pool = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert nearest_distance(torch.tensor([[0.0, 1.0]]), pool).tolist() == [1.0]
    assert nearest_distance(pool, pool, itself=True).tolist() == [5.0, 5.0]
