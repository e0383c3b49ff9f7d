from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from labelmine.synthesis import grid_png

YELLOW = (255, 212, 0)


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def cell(grid: NDArray[np.uint8], row: int, column: int, height: int, width: int) -> NDArray[np.uint8]:
    """One image of a grid whose cells have one pixel between them."""
    top, left = row * (height + 1) + 1, column * (width + 1) + 1
    return grid[top : top + height, left : left + width]


def test_images_stand_row_by_row() -> None:
    images = torch.rand(5, 3, 6, 10)
    grid = pixels(grid_png(images, columns=3))
    assert grid.shape == (2 * 7 + 1, 3 * 11 + 1, 3)
    for number, image in enumerate(images):
        expected = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        np.testing.assert_array_equal(cell(grid, *divmod(number, 3), 6, 10), expected)
    assert not cell(grid, 1, 2, 6, 10).any()  # no sixth image


def test_values_beyond_the_range_are_clipped() -> None:
    images = torch.stack([torch.full((3, 4, 4), value) for value in (-0.5, 1.5)])
    grid = pixels(grid_png(images))
    assert (cell(grid, 0, 0, 4, 4) == 0).all()
    assert (cell(grid, 0, 1, 4, 4) == 255).all()


@pytest.mark.parametrize("classes", [1, 2])
def test_masks_are_outlined_and_the_rest_is_left(classes: int) -> None:
    images, masks = torch.full((2, 3, 20, 20), 0.2), torch.zeros(2, classes, 20, 20)
    masks[0, -1, 5:15, 5:15] = 1
    grid = pixels(grid_png(images, masks))
    outlined, plain = cell(grid, 0, 0, 20, 20), cell(grid, 0, 1, 20, 20)
    yellow = (outlined == YELLOW).all(-1)
    ring, near = np.zeros((20, 20), dtype=bool), np.zeros((20, 20), dtype=bool)
    ring[[4, 15], 5:15] = ring[5:15, [4, 15]] = True  # what touches the mask from outside
    near[4:16, 4:16] = True
    near[6:14, 6:14] = False
    assert yellow[ring].all()
    assert not yellow[~near].any()
    assert (outlined[~yellow] == 51).all()
    assert (plain == 51).all()


def test_an_outline_is_one_pixel_wide() -> None:
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 5:15, 5:15] = 1
    outlined = cell(pixels(grid_png(torch.zeros(1, 3, 20, 20), mask)), 0, 0, 20, 20)
    yellow = (outlined == YELLOW).all(-1)
    assert yellow[10].sum() == yellow[:, 10].sum() == 2


def test_every_image_needs_its_mask() -> None:
    with pytest.raises(ValueError, match="shorter"):
        grid_png(torch.rand(2, 3, 4, 4), torch.zeros(1, 1, 4, 4))
