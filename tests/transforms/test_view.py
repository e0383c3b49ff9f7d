"""The student's view and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from labelmine.errors import ConfigError
from labelmine.transforms import StudentView, asked_part, teacher_images, to_original, view_extent

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@given(sizes, st.sampled_from([32, 96, 224]))
@settings(max_examples=60, deadline=None)
def test_view_is_a_square_with_the_whole_image_and_no_weight_in_the_padding(size: tuple[int, int], side: int) -> None:
    sample = {"image": torch.ones(3, *size), "label": torch.ones(2, *size), "id": "a"}
    view = StudentView(side)(sample)
    height, width = view_extent(size, side)
    assert max(height, width) == side
    assert min(height, width) >= 1
    assert abs(height * size[1] - width * size[0]) <= max(size) or min(height, width) == 1  # aspect, within a pixel
    assert view["image"].shape == (3, side, side)
    assert view["label"].shape == (2, side, side)
    assert view["weight"].shape == (1, side, side)
    for key in ("image", "label", "weight"):
        assert (view[key][:, :height, :width] >= 1 - 1e-6).all()
        assert view[key].sum() == pytest.approx(view[key].shape[0] * height * width, rel=1e-5)
    assert view["original_size"].tolist() == list(size)
    assert view["id"] == "a"
    assert "weight" not in sample


@st.composite
def ellipses(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(20, 260)), draw(st.integers(20, 260))
    rows, columns = np.mgrid[:height, :width]
    cy, cx = draw(st.floats(0.2, 0.8)), draw(st.floats(0.2, 0.8))
    ry, rx = draw(st.floats(0.1, 0.5)), draw(st.floats(0.1, 0.5))
    return ((rows / height - cy) / ry) ** 2 + ((columns / width - cx) / rx) ** 2 <= 1


@given(ellipses(), st.sampled_from([96, 224]))
@settings(max_examples=40, deadline=None)
def test_mask_comes_back_within_a_pixel_of_the_coarser_grid(mask: np.ndarray, side: int) -> None:
    sample = {"image": torch.zeros(3, *mask.shape), "label": torch.from_numpy(mask)[None].float()}
    back = to_original(StudentView(side)(sample)["label"], mask.shape)[0].numpy() > 0.5  # type: ignore[arg-type]
    assert back.shape == mask.shape
    reach = int(np.ceil(max(1, max(mask.shape) / side)))
    near = ndimage.binary_dilation(mask, np.ones((3, 3)), reach) & ndimage.binary_dilation(
        ~mask, np.ones((3, 3)), reach
    )
    assert not ((back != mask) & ~near).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 1000), (3, 5)])
def test_tiny_and_elongated_images_survive(size: tuple[int, int]) -> None:
    view = StudentView(32)({"image": torch.rand(3, *size), "label": torch.ones(1, *size)})
    assert torch.isfinite(view["image"]).all()
    back = to_original(view["label"], size)
    assert back.shape == (1, *size)
    assert (back == 1).all()


def test_downsampling_is_antialiased_and_stays_in_range() -> None:
    stripes = (torch.arange(256) % 2).float().expand(3, 256, 256)
    image = StudentView(32)({"image": stripes, "label": torch.zeros(1, 256, 256)})["image"]
    assert image.min() > 0.4
    assert image.max() < 0.6


def test_a_given_weight_is_kept() -> None:
    weight = torch.zeros(1, 40, 80)
    weight[..., :40] = 0.5
    view = StudentView(64)({"image": torch.rand(3, 40, 80), "label": torch.zeros(1, 40, 80), "weight": weight})
    assert view["weight"].unique().tolist() == [0, 0.5]
    assert (view["weight"][0, :32, :32] == 0.5).all()
    assert view["weight"].sum() == 0.5 * 32 * 32


@pytest.mark.parametrize("image_size", [0, -32, 100, 33])
def test_sizes_that_unet_cannot_halve_are_refused(image_size: int) -> None:
    with pytest.raises(ConfigError, match=f"image_size: expected a .*multiple of 32. Got: {image_size}"):
        StudentView(image_size)


@pytest.mark.parametrize(("size", "teacher_size"), [((300, 200), 128), ((40, 90), 256)])
def test_a_teacher_that_looks_closer_gets_a_view_of_its_own(size: tuple[int, int], teacher_size: int) -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), size, mode="bicubic")[0].clamp(0, 1)
    view = StudentView(64, teacher_size)({"image": smooth, "label": torch.zeros(1, *size)})
    assert view["teacher_image"].dtype == torch.uint8
    assert view["teacher_image"].shape == (3, teacher_size, teacher_size)
    batch = {key: view[key][None] for key in ("image", "weight", "teacher_image")}
    seen = teacher_images(batch)
    smaller = torch.nn.functional.interpolate(seen, (64, 64), mode="bilinear", antialias=True)
    assert ((smaller - batch["image"]).abs() * (batch["weight"] > 0)).mean() < 0.01, "another picture"
    assert set(asked_part({**batch, "id": ["a"]}, "cpu")) == {"image", "weight", "teacher_image"}


@pytest.mark.parametrize("teacher_size", [None, 32, 64])
def test_a_teacher_that_looks_no_closer_sees_the_students_view(teacher_size: int | None) -> None:
    view = StudentView(64, teacher_size)({"image": torch.rand(3, 100, 80), "label": torch.zeros(1, 100, 80)})
    assert "teacher_image" not in view
    assert teacher_images(view) is view["image"]
