"""Whether foreground and background of the gold masks may be swapped, or outlines left unfilled: said, never mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labelmine.data.classes import ClassMap
from labelmine.data.findings import Findings
from labelmine.data.level_rules import classes_of_levels
from labelmine.data.levels import MaskLevels

#: Foreground on more than this share of a picture's border, or of its pixels, is unusual for a lesion or an organ.
UNUSUAL = 0.5
#: Masks of which it holds before it is said, as a share of those with foreground.
MOST = 0.5
#: Lines of one or two pixels have hardly any pixel whose neighbours are all foreground; of so few pixels it is no sign.
THIN, FEW_PIXELS = 0.1, 50

INVERTED = "check that background and foreground are not swapped (background is 0; invert the files if they are)"


def note_polarity(measured: Sequence[MaskLevels], classes: ClassMap, findings: Findings) -> None:
    """Note what a set of inverted masks would show.

    Args:
        measured: Levels of every mask; all fit the classes.
        classes: The set's classes.
        findings: Receives foreground that fills the border or most of the picture in most masks, masks that are
            foreground wholly or thin lines, and palettes in which index 0 is not black, or black is another index.
    """
    border, area, whole, thin = [], [], [], []
    n_filled = 0
    for one in measured:
        is_class = classes_of_levels(one, classes).any(axis=0)
        pixels = one.pixels[is_class].sum()
        share = pixels / one.pixels.sum()
        n_filled += bool(share > 0)
        name = Path(one.path).name
        border += [name] if one.border[is_class].sum() > UNUSUAL * one.border.sum() else []
        area += [name] if share > UNUSUAL else []
        whole += [name] if share == 1 else []
        thin += [name] if pixels > FEW_PIXELS and one.solid[is_class].sum() < THIN * pixels else []
    for name in dict.fromkeys(whole):
        findings.note("polarity", f"masks are foreground all over; {INVERTED}", name)
    if len(border) > MOST * n_filled:
        sentence = f"foreground fills most of the border of the picture in {len(border)} of {n_filled} masks"
        findings.note("polarity", f"{sentence}; {INVERTED}")
    if len(area) > MOST * n_filled:
        sentence = f"foreground covers more than half of the picture in {len(area)} of {n_filled} masks"
        findings.note("polarity", f"{sentence}; {INVERTED}")
    if len(thin) > MOST * n_filled:
        sentence = f"foreground is made of thin lines in {len(thin)} of {n_filled} masks"
        findings.note("polarity", f"{sentence}; fill the masks if these are the outlines of what is meant")
    _note_palettes(measured, findings)


def _note_palettes(measured: Sequence[MaskLevels], findings: Findings) -> None:
    for one in measured:
        first = one.palette.get(0, (0, 0, 0))
        black = [index for index, color in one.palette.items() if index and not any(color)]
        if any(first) or black:
            shown = f"index 0, taken as background, is shown as {list(first)}" if any(first) else ""
            other = f"black is index {black[0]}, taken as foreground" if black else ""
            said = " and ".join(filter(None, (shown, other)))
            findings.note("polarity", f"colour map whose {said}; {INVERTED}", Path(one.path).name)
