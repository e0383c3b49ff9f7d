"""What was understood of an image set, in a few lines: for the log of every run that splits, and for the doctor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from labelmine.data.classes import ClassMap
from labelmine.data.items import Item
from labelmine.data.set_aside import SetAside, reasons_of

#: Reasons, or places of files that are not used, that a line names.
NAMED = 3


def account_lines(items: Sequence[Item], set_aside: Iterable[SetAside], classes: ClassMap | None) -> list[str]:
    """Say what a set holds, beside its findings: images and masks, classes, and what was set aside.

    Args:
        items: Its images.
        set_aside: What cannot be used, and what is not.
        classes: The classes; None where they are not known.

    Example:
        >>> items = [Item(id="a", image="a.png", label="a_mask.png", group="a"), Item(id="b", image="b.png", group="b")]
        >>> account_lines(items, [], ClassMap())[0]
        '2 images (2 .png) in 2 groups: 1 with a mask, 1 without'
    """
    gold = sum("label" in item for item in items)
    groups = len({item["group"] for item in items})
    formats = ", ".join(f"{count} {name}" for name, count in formats_of(items).items())
    lines = [f"{len(items)} images ({formats}) in {groups} groups: {gold} with a mask, {len(items) - gold} without"]
    if classes is not None and gold:
        lines.append(f"classes: {class_words(classes)}")
    reasons = reasons_of(set_aside)
    lost = [f"{reason.count} as {reason.examples[0]}" for reason in reasons if reason.is_loss]
    unused = [reason.examples[0] for reason in reasons if not reason.is_loss]
    lines += [
        f"{what}: {_first(named)}, see quarantine.csv"
        for what, named in (("set aside", lost), ("not used", unused))
        if named
    ]
    return lines


def _first(named: Sequence[str]) -> str:
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return "; ".join(named[:NAMED]) + more


def class_words(classes: ClassMap) -> str:
    """Say which mask values stand for which class."""
    if classes.values is None:
        cut = f"{classes.cut:g}" if classes.levels is not None else "0"
        return f"{classes.names[0]} (any value above {cut})"
    return ", ".join(
        f"{name} ({list(value) if isinstance(value, tuple) else value})"
        for name, value in zip(classes.names, classes.values, strict=True)
    )


def formats_of(items: Iterable[Item]) -> dict[str, int]:
    """Count images by suffix, the most frequent first; slices and frames count each."""
    counts = Counter(_suffix(Path(item["image"])) for item in items)
    return dict(counts.most_common())


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix or "without suffix"
