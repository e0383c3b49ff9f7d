"""The built-in phantom set: seeded images that look like the task, so that every workflow runs without data.

Two looks share one recipe (smooth noise, a few lesions, a soft-edged mask): *endoscopy*, a shaded wet surface with
folds, vessels, a lumen and highlights, and *ultrasound*, layered speckle with acoustic shadows. Flushed patches, fat
lobules, shadows and highlights are there to be mistaken for lesions: a set that any network solves shows nothing.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from labelmine.atomic import write_whole
from labelmine.errors import ConfigError

Field = NDArray[np.float64]

LESION_COUNT_PROBABILITIES = (0.12, 0.52, 0.24, 0.12)
ULTRASOUND_PROBABILITY = 0.4
GREY_PROBABILITY = 0.15


def phantom(seed: int, index: int, size: int = 96, empty: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make one image with its gold mask.

    Args:
        seed: Seed of the set.
        index: Number of the image in the set; the same seed, index and size give the same bytes.
        size: Height and width in pixels, 32 or more.
        empty: Whether some images show no lesion.

    Returns:
        Image (size, size, 3) uint8 RGB, and mask (size, size) uint8 holding 0 and 255.

    Raises:
        ConfigError: A size too small to show lesions.

    Example:
        >>> image, mask = phantom(seed=0, index=3)
        >>> image.shape, mask.shape, mask.dtype.name
        ((96, 96, 3), (96, 96), 'uint8')
    """
    if size < 32:
        raise ConfigError(f"phantom size: expected 32 pixels or more, got {size}")
    rng = np.random.default_rng([seed, index])
    likely = np.array(LESION_COUNT_PROBABILITIES)
    likely[0] *= empty
    lesions = [_lesion(rng, size) for _ in range(rng.choice(4, p=likely / likely.sum()))]
    if rng.random() < ULTRASOUND_PROBABILITY:
        image, visible = _ultrasound(rng, size, lesions)
    else:
        image, visible = _endoscopy(rng, size, lesions)
    mask = np.zeros((size, size), dtype=bool)
    for field in lesions:
        mask |= field > 0
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return pixels, np.where(mask & visible, 255, 0).astype(np.uint8)


def write_phantom_set(
    folder: str | Path,
    n_train: int = 24,
    n_val: int = 12,
    n_test: int = 24,
    seed: int = 0,
    size: int = 96,
    n_unlabeled: int = 0,
    empty: bool = True,
) -> Path:
    """Write a phantom set as ``images/``, ``masks/`` and ``dataset.csv`` with its split.

    The unlabelled have masks too, which training does not see: they tell how good pseudo labels are.

    Args:
        folder: Where to write; files already there are written anew with the same bytes.
        n_train: Number of training images.
        n_val: Number of validation images.
        n_test: Number of test images.
        seed: Seed of the set.
        size: Height and width in pixels.
        n_unlabeled: Number of images to mine.
        empty: Whether some images show no lesion.

    Returns:
        Path of the CSV (columns id, image, label, split), which ``find_items`` reads.
    """
    root = Path(folder)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    splits = ["train"] * n_train + ["val"] * n_val + ["test"] * n_test + ["unlabeled"] * n_unlabeled
    rows = [
        _write_one(root, f"phantom_{index:04d}", *phantom(seed, index, size, empty)) | {"split": split}
        for index, split in enumerate(splits)
    ]
    table = root / "dataset.csv"
    # The table comes last and at once: where it stands, the images stand too.
    write_whole(table, pd.DataFrame(rows).to_csv(index=False).encode())
    return table


def _write_one(root: Path, stem: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, str]:
    files = {"image": f"images/{stem}.png", "label": f"masks/{stem}.png"}
    for pixels, file in zip((image, mask), files.values(), strict=True):
        Image.fromarray(pixels).save(root / file)
    return {"id": stem} | files


def _endoscopy(rng: np.random.Generator, size: int, lesions: list[Field]) -> tuple[Field, NDArray[np.bool_]]:
    """Draw a wet folded surface; lesions are bumps of another tint. Returns RGB (H, W, 3) and the visible field."""
    y, x = _coordinates(size)
    lumen_y, lumen_x = rng.uniform(-0.9, 0.9, 2)
    distance = np.hypot(y - lumen_y, x - lumen_x) + 0.06 * _noise(rng, size, 5)
    folds = np.abs(np.sin(distance * rng.uniform(3, 8) + rng.uniform(0, 6))) * rng.uniform(0.0, 0.07)
    height = 0.09 * _fractal(rng, size, 3, 4) + folds
    relief = rng.uniform(0.05, 0.22)
    for field in lesions:
        height = height + relief * np.sqrt(np.clip(field + 0.1, 0, None))
    shade = _shading(height, angle=rng.uniform(0, 2 * np.pi), strength=rng.uniform(0.25, 0.6))

    tissue = np.array([0.80, 0.45, 0.38]) * rng.uniform(0.85, 1.12, 3)
    image = np.broadcast_to(tissue, (size, size, 3)) * (1 + 0.06 * _fractal(rng, size, 8, 3))[..., None]
    vessels = np.clip(1 - 5 * np.abs(_fractal(rng, size, 4, 2)), 0, 1) * rng.uniform(0, 0.3)
    flush = rng.uniform(0, 0.35) * _sigmoid(4 * (_noise(rng, size, 3) - 1))
    image = image * (1 - (vessels + flush)[..., None] * np.array([0.25, 0.9, 0.8]))
    for field in lesions:
        redness = rng.choice([-1, 1], p=[0.8, 0.2]) * rng.uniform(1, 2.2)
        tint = rng.normal(0, 0.10) + redness * np.array([0.02, 0.13, 0.11])
        pits = rng.uniform(0, 0.12) * _noise(rng, size, size // 4)
        image = image * (1 + (_opacity(rng, field) * (1 + pits))[..., None] * tint + (_inside(field) * pits)[..., None])
    dark = 1 - 0.85 * np.exp(-((distance / rng.uniform(0.15, 0.4)) ** 2)) * (rng.random() < 0.6)
    light = dark * (1.1 - rng.uniform(0.15, 0.5) * (y**2 + x**2))
    wet = np.clip(_fractal(rng, size, 16, 2) + 1.5 * (shade - 1) - rng.uniform(2.0, 3.0), 0, 0.4) * 2.5
    image = image * (shade * light)[..., None] + (gaussian_filter(wet, 0.4) * light)[..., None]

    if rng.random() < GREY_PROBABILITY:
        image = np.repeat(image @ np.array([[0.30], [0.59], [0.11]]), 3, axis=-1)
    radius = rng.uniform(0.98, 1.45)
    visible = (np.hypot(y, x) < radius) & (np.abs(y) + np.abs(x) < radius * 1.3)
    image = image + rng.normal(0, 0.012, (size, size, 3))
    return image * gaussian_filter(visible.astype(np.float64), 0.6)[..., None], visible


def _ultrasound(rng: np.random.Generator, size: int, lesions: list[Field]) -> tuple[Field, NDArray[np.bool_]]:
    """Draw layered speckle; lesions are mostly dark, with or without a shadow. Returns RGB (H, W, 3) and visibility."""
    y, x = _coordinates(size)
    depth = (y + 1) / 2 + 0.04 * _noise(rng, size, (2, 4))
    echo = 0.52 - rng.uniform(0.1, 0.45) * np.clip(depth - 0.35, 0, None) + 0.09 * _fractal(rng, size, (9, 3), 3)
    lobules = np.clip(_noise(rng, size, (6, 3)) - 0.8, 0, 1) * rng.uniform(0.05, 0.25)
    fascia = np.clip(1 - 9 * np.abs(_noise(rng, size, (5, 2))), 0, 1) * rng.uniform(0, 0.25)
    skin = 0.3 * np.exp(-((depth / 0.06) ** 2))
    echo = echo - lobules + fascia + skin
    for field in lesions:
        contrast = rng.uniform(0.22, 0.45) * (1 if rng.random() < 0.9 else -0.7)
        inner = 1 + rng.uniform(0, 0.5) * _noise(rng, size, 10)
        echo = echo - contrast * _opacity(rng, field) * inner
        below = np.cumsum(_inside(field), axis=0) / size * (1 - _inside(field))
        echo = echo + rng.uniform(-0.4, 0.8) * gaussian_filter(below, size / 48)
    shadow = np.clip(_noise(rng, size, (1, 7)) - 1.0, 0, 1) * np.clip(depth * 2 - 0.3, 0, 1) * rng.uniform(0, 0.35)
    echo = np.clip(echo - shadow, 0.02, None) * (1.05 - rng.uniform(0, 0.3) * x**2)
    speckle = np.hypot(_noise(rng, size, (size // 2, size // 3)), _noise(rng, size, (size // 2, size // 3)))
    image = echo * (1 + rng.uniform(0.12, 0.32) * (speckle - 1.25))
    return np.repeat(image[..., None], 3, axis=-1), np.ones((size, size), dtype=bool)


def _lesion(rng: np.random.Generator, size: int) -> Field:
    """Signed field (H, W) of one lesion: 1 at its centre, 0 on its outline, negative outside, in lesion radii."""
    y, x = _coordinates(size)
    radius = np.exp(rng.uniform(np.log(0.14), np.log(0.55)))
    centre_y, centre_x = rng.uniform(-0.7, 0.7, 2)
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(1.0, 1.9)
    along = (x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)
    across = (y - centre_y) * np.cos(angle) - (x - centre_x) * np.sin(angle)
    theta, orders = np.arctan2(across, along), np.arange(2, 7)
    waves = np.cos(orders[:, None, None] * theta + rng.uniform(0, 2 * np.pi, (5, 1, 1)))
    outline = 1 + np.tensordot(rng.normal(0, 0.28, 5) / orders, waves, axes=1) + 0.05 * _noise(rng, size, 12)
    return np.asarray(1 - np.hypot(along, across * aspect) / (radius * np.clip(outline, 0.4, None)))


def _opacity(rng: np.random.Generator, field: Field) -> Field:
    """How much of the lesion shows (H, W) in [0, 1]: a random soft edge, one half on the outline."""
    return _sigmoid(field / rng.uniform(0.03, 0.14))


def _inside(field: Field) -> Field:
    return (field > 0).astype(np.float64)


def _shading(height: Field, angle: float, strength: float) -> Field:
    """Lambertian light on a height map (H, W), about 1 on flat ground; slopes are per half image width."""
    slope_y, slope_x = np.gradient(height, 2 / len(height))
    return np.asarray(1 + strength * np.tanh(slope_x * np.cos(angle) + slope_y * np.sin(angle)))


def _sigmoid(value: Field) -> Field:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -40, 40))))


def _fractal(rng: np.random.Generator, size: int, cells: int | tuple[int, int], octaves: int) -> Field:
    """Octaves of smooth noise, each at half the wavelength and half the strength of the one before."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    layers = [_noise(rng, size, (rows << octave, columns << octave)) / 2**octave for octave in range(octaves)]
    return np.asarray(np.sum(layers, axis=0))


def _noise(rng: np.random.Generator, size: int, cells: int | tuple[int, int]) -> Field:
    """Smooth noise (size, size) with mean about 0 and standard deviation 1; ``cells`` bumps fit down and across."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    grid = rng.standard_normal((rows + 3, columns + 3))
    field = _spline(size, rows) @ grid @ _spline(size, columns).T
    return np.asarray(field / 0.48)  # the standard deviation that cubic B-splines leave of white noise in 2-D


@functools.lru_cache(maxsize=64)
def _spline(size: int, cells: int) -> Field:
    """Uniform cubic B-spline weights (size, cells + 3): two small products stretch a coarse grid over the image."""
    position = (np.arange(size) + 0.5) / size * cells
    cell = position.astype(int)
    t = position - cell
    weights = np.zeros((size, cells + 3))
    basis = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, weight in enumerate(basis):
        weights[np.arange(size), cell + offset] = weight / 6
    return weights


@functools.lru_cache(maxsize=8)
def _coordinates(size: int) -> tuple[Field, Field]:
    """Rows and columns of the pixel centres, each (size, size) in [-1, 1]."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x
