"""The classes of a set of masks, and how their values are read: inferred once, from all masks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.data.classes import LOSSY_NOISE, ClassMap, ClassSpec, Color, numbered
from labelmine.data.findings import Findings
from labelmine.data.levels import MaskLevels, pool_levels
from labelmine.data.peaks import MANY_LEVELS, find_peaks, is_doubtful, is_smeared, looks_like_picture
from labelmine.errors import ConfigError, DataError

#: Levels named in one message.
NAMED_LEVELS = 20
#: So many different numbers of objects, in masks of 1..n, are no class map.
OBJECT_COUNTS, MANY_OBJECTS = 3, 4
#: Objects that fell into pieces, and files whose numbers have gaps (cropped), are few of all.
FRAGMENTS, GAPS = 0.05, 0.05

KNOB = "a level that is left out is background, and --classes 1 makes all one class"


def choose_classes(spec: ClassSpec | ClassMap, measured: Sequence[MaskLevels], findings: Findings) -> ClassMap:
    """Resolve the ``classes`` knob against the levels that the masks of a set hold.

    Args:
        spec: The knob; None infers: masks of one level are one class, those of exactly 1..n (n up to 20) n classes.
        measured: Levels of every mask.
        findings: Receives what was assumed.

    Raises:
        ConfigError: A spec of another form, or levels that would become one class without being asked for.
    """
    classes = None if spec is None else ClassMap.from_config(spec)
    if classes is not None and classes.is_color:
        return classes
    colors = [one for one in measured if one.is_color and one.is_positive.any()]
    grey = [one for one in measured if not one.is_color]
    if colors:
        return classes or _of_colors(colors, grey, findings)
    if classes is None or classes.values is not None:
        _refuse_other_palettes(grey)
    exact = pool_levels(one for one in grey if not one.is_lossy)
    if classes is None and _is_class_map(exact) and (exact.highest <= MANY_LEVELS or not is_smeared(exact)):
        return _numbered_or_objects(exact, grey, findings)
    pooled = replace(pool_levels(grey), is_lossy=any(one.is_lossy for one in grey))
    peaks = find_peaks(pooled)
    if classes is None:
        _refuse_merged(peaks, pooled, grey, findings)
    elif classes.values is None and len(peaks) > 1:
        findings.note("levels", f"all levels above 0 are one class, as asked for: {_named(pooled, peaks)}")
    return _with_levels(classes or ClassMap(), peaks, pooled, findings)


def misfit(one: MaskLevels, classes: ClassMap) -> str:
    """Return why a mask cannot be read with the classes of its set; "" where it can."""
    name = Path(one.path).name
    try:
        classes_of_levels(one, classes)
    except DataError as error:
        return f"{name}: {error}"
    if classes.levels is None or classes.values is not None or one.is_lossy or one.is_color:
        return ""
    positive = np.flatnonzero(one.is_positive)
    is_other = len(positive) == 1 and one.highest <= classes.cut and one.highest == round(one.highest)
    if is_other and one.solid[positive[0]] > 0.1 * one.pixels[positive[0]]:
        return (
            f"{name}: mask holds {one.highest:g} in whole areas, where the foreground of the set is "
            f"{classes.levels[-1]:g}: is it another encoding, or empty? Save it with {classes.levels[-1]:g} or 0"
        )
    return ""


def classes_of_levels(one: MaskLevels, classes: ClassMap) -> NDArray[np.bool_]:
    """Return (K, N): which class each level of a mask stands for.

    Raises:
        DataError: A mask of a form that does not fit the classes.
    """
    mask = one.values[None]
    return np.asarray(classes.encode_lossy(mask) if one.is_lossy else classes.encode(mask))[:, 0] > 0


def _is_class_map(exact: MaskLevels) -> bool:
    positive = exact.values[exact.is_positive] if not exact.is_color else exact.values[:0]
    return len(positive) > 1 and np.array_equal(positive, np.arange(1, len(positive) + 1))


def _numbered_or_objects(exact: MaskLevels, grey: Sequence[MaskLevels], findings: Findings) -> ClassMap:
    count = int(exact.highest)
    if _are_objects(grey):
        findings.note(
            "levels",
            f"masks number their objects from 1, up to {count}, differently in each: taken as one class; if the "
            f"numbers are classes, give --classes {count}",
        )
        return ClassMap()
    if count > MANY_LEVELS:
        raise ConfigError(
            f"classes: masks hold the levels 1 to {count}, more than {MANY_LEVELS}: {_named(exact)}. Give --classes "
            f"{count} where they are classes, --classes 1 where they number objects of one class"
        )
    findings.note(
        "levels",
        f"masks hold the levels 1 to {count}: taken as {count} classes; if they number objects, give --classes 1",
    )
    return numbered(count)


def _are_objects(grey: Sequence[MaskLevels]) -> bool:
    """Whether files number connected objects 1..n, with n differing: a class map has its classes in any file."""
    files: dict[str, set[float]] = {}
    regions = numbers = 0
    for one in grey:
        positive = one.values[one.is_positive]
        # Of a lone level regions are not counted; as its one object it says nothing either way.
        regions, numbers = regions + one.regions, numbers + len(positive) * bool(one.regions)
        files.setdefault(one.path, set()).update(positive.tolist())
    held = [values for values in files.values() if values]
    counts = [len(values) for values in held]
    with_gaps = sum(max(values) != len(values) for values in held)
    if regions > (1 + FRAGMENTS) * numbers or with_gaps > GAPS * len(held):
        return False
    return len(set(counts)) >= OBJECT_COUNTS and max(counts) >= MANY_OBJECTS


def _refuse_merged(peaks: Sequence[float], pooled: MaskLevels, grey: Sequence[MaskLevels], findings: Findings) -> None:
    if is_doubtful(peaks[-1] if peaks else 0):
        raise ConfigError(
            f"classes: masks hold fractions up to {pooled.highest:.4g}: means of class numbers (resampled), or a soft "
            "map? Save them resampled with nearest neighbour, as whole numbers; --classes 1 cuts at half of the highest"
        )
    if is_smeared(pooled) and looks_like_picture(pooled, np.array(peaks)):
        raise _picture(grey, "--classes 1 cuts at half of the highest")
    if len(peaks) < 2:
        return
    if set(peaks) in ({1, 255}, {1, 65535}) and not any(set(peaks) <= set(one.values) for one in grey):
        high = f"{peaks[1]:g}"
        findings.note("levels", f"some masks have 1 as foreground, others {high}: taken as one class")
        return
    smear = ", with a smear between them" if is_smeared(pooled) else ""
    line = _knob_line({f"class_{value:g}": value for value in peaks}, pooled.is_lossy)
    raise ConfigError(
        f"classes: masks hold {len(peaks)} levels besides 0{smear}, which would become one class: "
        f"{_named(pooled, peaks)}. {line}{KNOB}"
    )


def _with_levels(classes: ClassMap, peaks: list[float], pooled: MaskLevels, findings: Findings) -> ClassMap:
    """Add the levels that values in between are taken to, where there are such."""
    if not is_smeared(pooled) and not (pooled.is_lossy and pooled.is_positive.any()):
        return classes
    if pooled.is_lossy and pooled.highest <= LOSSY_NOISE and len(peaks) == 1 and not _has_areas(pooled):
        peaks = [255.0]
    if classes.values is None:
        cut = peaks[0] / 2
        sentence = f"masks are not quite binary (smear, noise or a soft map): cut halfway, at {cut:.6g}, of 0 and "
        findings.note("levels", f"{sentence}{peaks[0]:.6g}")
        return replace(classes, levels=(0.0, peaks[0]))
    values = [float(value) for value in classes.values if isinstance(value, int)]
    levels = tuple(sorted({0.0, *(peak for peak in peaks if peak == round(peak)), *values}))
    findings.note("levels", f"masks hold values between their levels: taken to the nearest of {_list(levels)}")
    return replace(classes, levels=levels)


def _has_areas(pooled: MaskLevels) -> bool:
    top = pooled.is_positive
    return bool(pooled.solid[top].sum() > 0.1 * pooled.pixels[top].sum())


def _of_colors(colors: Sequence[MaskLevels], grey: Sequence[MaskLevels], findings: Findings) -> ClassMap:
    """One colour on black is one class; several are a question."""
    pooled = pool_levels(colors)
    positive = pooled.is_positive
    kept = positive & (pooled.solid > 0.1 * pooled.pixels) & (pooled.pixels > 0.005 * pooled.pixels[positive].sum())
    is_smear = positive.sum() > MANY_LEVELS or any(one.is_lossy for one in colors)
    kept = kept if is_smear and kept.any() else positive
    peaks = pooled.values[kept] if is_smear else pooled.values[:0]
    if is_smear and (len(peaks) > MANY_LEVELS or looks_like_picture(pooled, peaks)):
        raise _picture(colors, '--classes "{name: [red, green, blue]}" reads colours that stand for something')
    found = [(int(red), int(green), int(blue)) for red, green, blue in pooled.values[kept]]
    is_grey_too = any(one.is_positive.any() for one in grey)
    if len(found) == 1 and not is_grey_too:
        color = list(found[0])
        findings.note("levels", f"masks are in one colour, {color}, on black: taken as one class")
        high = float(max(color))
        return ClassMap(levels=(0.0, high)) if is_smear else ClassMap()
    is_lossy = any(one.is_lossy for one in colors)
    line = _knob_line({f"color_{n}": list(color) for n, color in enumerate(found, start=1)}, is_lossy)
    named = [
        f"{list(map(int, pooled.values[place]))} (in {pooled.masks[place]} masks)"
        for place in np.flatnonzero(kept)[:NAMED_LEVELS]
    ]
    more = f" and {len(found) - len(named)} more" if len(found) > len(named) else ""
    also = ", and others hold grey levels" if is_grey_too else ""
    raise ConfigError(
        f"classes: masks hold {len(found)} colours besides black{also}, which would become one class: "
        f"{', '.join(named)}{more}. {line}{KNOB.replace('level', 'colour')}"
    )


def _picture(masks: Sequence[MaskLevels], knob: str) -> ConfigError:
    names = [Path(one.path).name for one in masks]
    return ConfigError(
        f"classes: what is given as masks looks like pictures ({names[0]}{', ...' if len(names) > 1 else ''}): most "
        "pixels are neither background (0, black) nor of a level that stands out. Are they images, or images with the "
        f"outline drawn in? Give masks in which background is 0, or a --mask_pattern that finds them; {knob}"
    )


def _refuse_other_palettes(grey: Sequence[MaskLevels]) -> None:
    """Indices mean nothing where each file has a palette of its own."""
    colors: dict[int, tuple[Color, str]] = {}
    indices: dict[Color, tuple[int, str]] = {}
    for one in grey:
        for index, color in one.palette.items():
            first, path = colors.setdefault(index, (color, one.path))
            other, at = indices.setdefault(color, (index, one.path)) if any(color) else (index, path)
            if first != color or (other != index and at != one.path):
                found = sorted({c for mask in grey for c in mask.palette.values() if any(c)})
                line = _knob_line({f"color_{n}": list(c) for n, c in enumerate(found, start=1)})
                raise ConfigError(
                    f"classes: the palettes of {Path(path if first != color else at).name} and {Path(one.path).name} "
                    f"differ (index {index} is {list(color)} in the latter), so that the masks' indices do not mean "
                    f"one thing. {line}{KNOB.replace('level', 'colour')}"
                )


def _named(pooled: MaskLevels, values: Sequence[float] | None = None) -> str:
    """Levels with the number of masks that hold each, the first of them only."""
    places = [place for place in np.flatnonzero(pooled.is_positive) if values is None or pooled.values[place] in values]
    named = [f"{pooled.values[place]:g} (in {pooled.masks[place]} masks)" for place in places[:NAMED_LEVELS]]
    return ", ".join(named) + (f" and {len(places) - len(named)} more" if len(places) > len(named) else "")


def _list(levels: Sequence[float]) -> str:
    more = f" and {len(levels) - NAMED_LEVELS} more" if len(levels) > NAMED_LEVELS else ""
    return ", ".join(f"{value:g}" for value in levels[:NAMED_LEVELS]) + more


def _knob_line(names: Mapping[str, float | list[int]], is_lossy: bool = False) -> str:
    if len(names) > 2 * NAMED_LEVELS or any(isinstance(v, float) and v != round(v) for v in names.values()):
        return "Save them as whole numbers, or as 0 and 255; "
    pairs = ", ".join(f"{name}: {f'{value:g}' if isinstance(value, float) else value}" for name, value in names.items())
    first = "Save them as PNG, as JPEG changes values; then " if is_lossy else ""
    return f'{first}--classes "{{{pairs}}}" keeps them apart; '
