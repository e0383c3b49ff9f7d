"""Which images a person should look at: those with something odd, then some at random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from labelmine.data import Item, Pair
from labelmine.data.findings import Finding
from labelmine.evaluation.image_facts import ImageFacts
from labelmine.evaluation.wording import percent

#: Pictures on the sheet, and at most so many for one kind of oddity.
PICTURES, OF_A_KIND = 24, 3
#: Kinds of findings that hold for all images alike and point at none.
GENERAL = {"pairing", "classes", "clutter", "split"}
#: Findings of more than this share of the images point at none either.
RARE = 0.5
MANY_COMPONENTS = 3


def choose_odd(
    items: Sequence[Item], facts: Sequence[ImageFacts], findings: Sequence[Finding], pairs: Sequence[Pair], seed: int
) -> list[tuple[str, str]]:
    """Choose the images of the sheet.

    Args:
        items: All images.
        facts: Of those that were looked at.
        findings: Their examples are shown.
        pairs: Near-duplicates, of which the nearest are shown.
        seed: Of the draw of others.

    Returns:
        (id, why it is shown) of up to ``PICTURES`` images, each once; first the first of every kind of oddity.
    """
    groups = {item["id"]: item["group"] for item in items}
    kinds = [_of_groups(kind, groups) for kind in _kinds(items, facts, findings, pairs)]
    turns = [kind[turn] for turn in range(OF_A_KIND) for kind in kinds if turn < len(kind)]
    drawn = np.random.default_rng(seed).permutation(len(facts))
    others = [(facts[index].id, "at random") for index in drawn]
    gold = {one.id for one in facts if one.areas}
    others.sort(key=lambda entry: entry[0] not in gold)  # stable: images with a mask first
    chosen: dict[str, str] = {}
    for name, why in (*turns, *others):
        if len(chosen) < PICTURES:
            chosen.setdefault(name, why)
    return list(chosen.items())


def _of_groups(kind: Iterable[tuple[str, str]], groups: Mapping[str, str]) -> list[tuple[str, str]]:
    """Keep the first of each group: neighbouring slices look alike."""
    first: dict[str, tuple[str, str]] = {}
    for name, why in kind:
        first.setdefault(groups[name], (name, why))
    return list(first.values())[:OF_A_KIND]


def _kinds(
    items: Sequence[Item], facts: Sequence[ImageFacts], findings: Sequence[Finding], pairs: Sequence[Pair]
) -> Iterator[Sequence[tuple[str, str]]]:
    gold = [one for one in facts if one.areas]
    full = [one for one in gold if one.all_lesions]
    for finding in findings:
        if finding.kind not in GENERAL and finding.count <= RARE * len(items):
            yield [(name, f"{finding.kind}: see the assumptions") for name in _named(items, finding)]
    yield [(one.id, "empty mask") for one in gold if not one.all_lesions]
    by_area = sorted(full, key=lambda one: sum(one.areas))
    yield [(one.id, f"largest mask, {percent(sum(one.areas))}") for one in by_area[::-1]]
    by_lesion = sorted(full, key=lambda one: min(one.all_lesions))
    yield [(one.id, f"smallest lesion, {percent(min(one.all_lesions))}") for one in by_lesion]
    yield [(one.id, "mask touches the border") for one in by_area[::-1] if one.touches_border]
    by_count = sorted(full, key=lambda one: -len(one.all_lesions))
    yield [
        (one.id, f"{len(one.all_lesions)} separate parts")
        for one in by_count
        if len(one.all_lesions) >= MANY_COMPONENTS
    ]
    nearest = sorted(pairs, key=lambda pair: (pair[2], pair[:2]))[:1]
    yield [entry for a, b, _ in nearest for entry in ((a, f"looks like {b}"), (b, f"looks like {a}"))]
    sizes = [one.size for one in facts]
    yield [
        (one.id, f"only one of {one.size[1]} x {one.size[0]} pixels")
        for one in facts
        if sizes.count(one.size) == 1 and len(set(sizes)) <= 0.1 * len(facts)
    ]


def _named(items: Sequence[Item], finding: Finding) -> list[str]:
    """Ids of the images that a finding names, by id or by the file of image or mask."""
    wanted = set(finding.examples)
    return [item["id"] for item in items if wanted & {item["id"], *_file_names(item)}]


def _file_names(item: Item) -> set[str]:
    return {Path(path).name for path in (item["image"], item.get("label")) if path}
