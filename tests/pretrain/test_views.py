"""Random views: which row shows what, where crops come from, and that draws repeat."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmine.errors import ConfigError
from labelmine.pretrain import RandomViews
from labelmine.pretrain.views import _resampled

STILL: dict[str, Any] = {"min_area": 1.0, "rotation": 0.0, "jitter": 0.0, "grey": 0.0, "blur": 0.0}
SIDE = 32


def whole(n: int) -> torch.Tensor:
    return torch.full((n, 2), SIDE)


def test_rows_i_and_i_plus_b_show_image_i() -> None:
    """Each image is one colour of its own; neither crops nor turns can change it."""
    levels = torch.tensor([0.1, 0.4, 0.7, 0.95])
    images = levels.reshape(4, 1, 1, 1).expand(4, 3, SIDE, SIDE)
    views = RandomViews(jitter=0, grey=0, blur=0, rotation=0)(images, whole(4))
    torch.testing.assert_close(views[:, :, 8:24, 8:24].mean((1, 2, 3)), levels.repeat(2))


def test_both_views_of_an_image_differ() -> None:
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    first, second = RandomViews()(images, whole(3)).chunk(2)
    assert ((first - second).abs().mean((1, 2, 3)) > 0.02).all()


def test_draws_follow_seed_and_epoch() -> None:
    images = torch.rand(2, 3, SIDE, SIDE)

    def draw(seed: int, epoch: int) -> torch.Tensor:
        views = RandomViews(seed=seed)
        views(images, whole(2))  # what was drawn before an epoch does not count
        views.set_epoch(epoch)
        return views(images, whole(2))

    assert torch.equal(draw(3, 5), draw(3, 5))
    assert not torch.equal(draw(3, 5), draw(3, 6))
    assert not torch.equal(draw(3, 5), draw(4, 5))


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(8, SIDE), width=st.integers(8, SIDE), seed=st.integers(0, 2**20), area=st.floats(0.05, 1.0)
)  # fmt: skip
def test_windows_lie_in_the_image_and_have_the_area_asked_for(height: int, width: int, seed: int, area: float) -> None:
    """The corners of an unturned window, in pixels, against the image's edges."""
    views = RandomViews(min_area=area, rotation=0, seed=seed)
    matrices = views._windows(torch.tensor([[height, width]] * 8) / SIDE)
    corners = torch.tensor([[-1.0, -1.0, 1.0], [1.0, 1.0, 1.0]])
    pixels = ((matrices @ corners.T + 1) / 2 * SIDE).sort(dim=2).values  # (8, xy, low and high)
    assert (pixels[:, :, 0] >= -1e-3).all()
    assert (pixels[:, 0, 1] <= width + 1e-3).all()
    assert (pixels[:, 1, 1] <= height + 1e-3).all()
    sizes = pixels[:, :, 1] - pixels[:, :, 0]
    assert (sizes.prod(1) <= height * width * (1 + 1e-4)).all()
    clipped = (sizes[:, 0] > width - 1e-3) | (sizes[:, 1] > height - 1e-3)
    assert (clipped | (sizes.prod(1) >= area * height * width * (1 - 1e-4))).all()


def test_turned_windows_keep_angles_and_lengths() -> None:
    """A turn must not shear: the columns of the matrix stay at right angles, and at the crop's aspect."""
    matrices = RandomViews(rotation=180, seed=1)._windows(torch.ones(64, 2))[:, :, :2]
    torch.testing.assert_close((matrices[:, :, 0] * matrices[:, :, 1]).sum(1), torch.zeros(64), atol=1e-6, rtol=0)
    aspect = matrices[:, :, 0].norm(dim=1) / matrices[:, :, 1].norm(dim=1)
    assert (aspect.log().abs() <= torch.log(torch.tensor(4 / 3)) + 1e-5).all()
    assert (torch.det(matrices) > 0).any()
    assert (torch.det(matrices) < 0).any()  # mirrored


def test_a_view_of_the_whole_square_is_the_image_or_its_mirror() -> None:
    images = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).repeat(16, 1, 1, 1)
    drawn = RandomViews(**STILL)
    matrices = torch.eye(2, 3).repeat(32, 1, 1) * drawn._windows(torch.ones(32, 2)).sign()
    image = images[0]
    mirrors = torch.stack([image, image.flip(1), image.flip(2), image.flip((1, 2))])
    distance = (_resampled(images.repeat(2, 1, 1, 1), matrices)[:, None] - mirrors).abs().amax((2, 3, 4))
    assert (distance.min(1).values < 1e-5).all()
    assert len(distance.argmin(1).unique()) == 4


def test_probabilities_of_zero_and_one() -> None:
    images = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    plain, grey, blurred = (
        RandomViews(**{**STILL, **knobs})(images, torch.full((8, 2), 224)) for knobs in ({}, {"grey": 1}, {"blur": 1})
    )
    assert (plain.std(1).mean((1, 2)) > 0.1).all()
    assert grey.std(1).max() < 1e-6
    luma = (plain * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(1)
    torch.testing.assert_close(grey[:, 0], luma)
    assert (_roughness(blurred) < _roughness(plain)).all()
    torch.testing.assert_close(blurred.mean(), plain.mean(), rtol=0.02, atol=0)


def _roughness(views: torch.Tensor) -> torch.Tensor:
    return views.diff(dim=3).abs().mean((1, 2, 3))


def test_colours_change_within_their_range() -> None:
    images = torch.full((32, 3, SIDE, SIDE), 0.5)
    views = RandomViews(**{**STILL, "jitter": 0.4})(images, whole(32))
    centre = views[:, :, 8:24, 8:24].mean((2, 3))
    assert centre.std() > 0.02
    assert ((centre >= 0.5 * 0.6 * 0.9 * 0.8) & (centre <= 0.5 * 1.4 * 1.1 * 1.2)).all()
    assert views.min() >= 0
    assert views.max() <= 1


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"min_area": 0}, r"min_area: expected a number in \(0, 1\], for example 0.2. Got: 0"),
        ({"min_area": 1.5}, r"min_area: .* Got: 1.5"),
        ({"jitter": -0.1}, r"jitter: expected a number in \[0, 1\], for example 0.4. Got: -0.1"),
        ({"grey": 2}, r"grey: .* Got: 2"),
        ({"blur": 20}, r"blur: .* Got: 20"),
    ],
)
def test_knobs_out_of_range_are_refused(knobs: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RandomViews(**knobs)
