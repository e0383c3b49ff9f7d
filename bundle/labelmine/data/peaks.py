"""Which levels of a set of masks were meant, and which are smear: of compression, resampling or soft maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelmine.data.levels import MaskLevels

#: Noise lies within this share of the highest value from a level that was meant (15 of 255) ...
NOISE_SHARE = 0.06
#: ... and fills no areas: fewer of its pixels than this have neighbours of one value alone.
NOISE_SOLID = 0.05
#: More levels than this are no list that someone chose.
MANY_LEVELS = 20
#: In a smear of many levels, one that was meant holds this share of the foreground, and mostly in areas.
PEAK_MASS, PEAK_SOLID = 0.03, 0.3
#: More fractions than this are no levels that someone chose.
FEW_FRACTIONS = 3
#: Resampling with splines swings about 1 by less than this, mostly.
OVERSHOOT = 0.3
#: A mask, smeared or not, is mostly background and foreground: pixels near neither make up less than this share.
PICTURE_SHARE = 0.5
#: Colours of a smear are mixtures of those that were meant, but for this.
COLOR_NOISE = 32
#: Neighbours in a soft map differ by less than this share of its highest value, on average.
SOFT_STEP = 0.15


def is_smeared(levels: MaskLevels) -> bool:
    """Whether some levels of grey masks lie between those that were meant."""
    positive = levels.is_positive
    if positive.sum() < 2:
        return False
    broken = _fractions(levels)
    if levels.is_lossy or _noise(levels).any() or broken.sum() > FEW_FRACTIONS or broken.sum() == positive.sum():
        return True
    many = positive.sum() > MANY_LEVELS
    if many and 0 < levels.step < SOFT_STEP * levels.highest and levels.step < levels.highest / MANY_LEVELS * 2:
        return _is_dense(levels)
    ramps = _ramps(levels)
    middle = positive & (levels.pixels < levels.pixels[positive].max())
    return bool(ramps.sum() > 1 and levels.ramp[middle].sum() > levels.pixels[middle].sum() / 2)


def find_peaks(levels: MaskLevels) -> list[float]:
    """Return the positive values that were meant, in ascending order; all of them where nothing is smeared.

    Args:
        levels: Pooled levels of the set's grey masks.
    """
    positive = levels.is_positive
    if not is_smeared(levels):
        return [float(value) for value in levels.values[positive]]
    if positive.sum() > MANY_LEVELS or levels.is_lossy:
        return _peaks_of_many(levels)
    broken = _fractions(levels)
    kept = positive & ~_noise(levels) & ~_ramps(levels)
    if broken.sum() > FEW_FRACTIONS or broken.sum() == positive.sum():
        kept &= ~broken
    kept &= levels.pixels > 0.005 * levels.pixels[positive].sum()
    return [float(value) for value in levels.values[kept]] or [_top(levels)]


def looks_like_picture(levels: MaskLevels, peaks: NDArray[np.floating]) -> bool:
    """Whether most pixels are neither background, nor a level that was meant, nor a mixture of such colours.

    Args:
        levels: Pooled levels of masks, grey or colours.
        peaks: (P,) grey levels or (P, 3) colours that were meant.
    """
    if levels.is_color:
        return _mixed(levels, peaks) < PICTURE_SHARE
    near = levels.highest * NOISE_SHARE
    known = np.concatenate([[0.0], peaks])
    is_known = (np.abs(levels.values[:, None] - known) <= near).any(axis=1)
    return bool(levels.pixels[is_known].sum() < PICTURE_SHARE * levels.pixels.sum())


def _mixed(levels: MaskLevels, peaks: NDArray[np.floating]) -> float:
    """Share of the pixels whose colour lies on a line from black, or from a peak, to a peak."""
    ends = np.concatenate([np.zeros((1, 3)), peaks.reshape(-1, 3)])
    is_mixed = ~levels.is_positive
    for n, first in enumerate(ends):
        for second in ends[n + 1 :]:
            line, away = second - first, levels.values - first
            part = np.clip(away @ line / max(float(line @ line), 1.0), 0, 1)
            is_mixed |= np.abs(away - part[:, None] * line).max(axis=1) <= COLOR_NOISE
    return float(levels.pixels[is_mixed].sum() / levels.pixels.sum())


def is_doubtful(peak: float) -> bool:
    """Whether a level may be the mean of class numbers: no whole number, and of the size of one."""
    return peak != round(peak) and 1 + OVERSHOOT < peak < MANY_LEVELS


def _fractions(levels: MaskLevels) -> NDArray[np.bool_]:
    return np.asarray(levels.values != np.rint(levels.values))


def _noise(levels: MaskLevels) -> NDArray[np.bool_]:
    """Levels beside another that was meant, which fill no areas. Class maps of small numbers have none."""
    if levels.highest < 100:
        return np.zeros(len(levels.values), dtype=bool)
    near = levels.highest * NOISE_SHARE
    near_end = (levels.values <= near) | (levels.values >= levels.highest - near)
    is_thin = levels.solid < NOISE_SOLID * levels.pixels
    is_top = levels.values == levels.highest
    return np.asarray(levels.is_positive & near_end & is_thin & ~is_top)


def _ramps(levels: MaskLevels) -> NDArray[np.bool_]:
    return np.asarray(levels.is_positive & (levels.ramp > 0.5 * levels.pixels))


def _is_dense(levels: MaskLevels) -> bool:
    """Whether levels follow each other without gaps up to the highest, as in a soft map, and no few hold the most."""
    positive = levels.values[levels.is_positive]
    gaps = np.diff(positive, prepend=0)
    return bool(np.median(gaps) <= 2 * levels.highest / len(positive) and len(positive) > 3 * MANY_LEVELS)


def _peaks_of_many(levels: MaskLevels) -> list[float]:
    """Peaks of a histogram in steps of the noise; none: the highest value stands for the foreground."""
    positive = levels.is_positive
    width = levels.highest * NOISE_SHARE
    steps = np.rint(levels.values / width).astype(int)
    mass = np.bincount(steps[positive], levels.pixels[positive])
    solid = np.bincount(steps[positive], levels.solid[positive])
    total, usual = mass.sum(), np.median(mass[1:])
    above = np.arange(len(mass)) > levels.is_lossy
    found = above & (mass >= PEAK_MASS * total) & (solid >= PEAK_SOLID * mass) & (mass > 2 * usual)
    groups = np.split(np.flatnonzero(found), np.flatnonzero(np.diff(np.flatnonzero(found)) > 2) + 1)
    peaks = [_heaviest(levels, positive & np.isin(steps, group)) for group in groups if len(group)]
    return peaks or [_top(levels)]


def _top(levels: MaskLevels) -> float:
    """Foreground where no level stands out: 1 where most of what is no background is near it, else the highest."""
    above = levels.values > 0.5
    near = above & (np.abs(levels.values - 1) < OVERSHOOT)
    is_one = levels.highest < MANY_LEVELS and levels.pixels[near].sum() > 0.5 * levels.pixels[above].sum()
    return 1.0 if is_one else levels.highest


def _heaviest(levels: MaskLevels, among: NDArray[np.bool_]) -> float:
    return float(levels.values[among][np.argmax(levels.pixels[among])])
