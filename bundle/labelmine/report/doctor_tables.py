"""Tables of the doctor's page: formats, sizes, spacing, assumptions, classes, lesions, losses, weights and costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labelmine.data.duplicates import Pair
from labelmine.data.set_aside import Reason
from labelmine.evaluation.image_facts import ImageFacts
from labelmine.evaluation.summary import SIZE_FROM, SIZE_LABELS
from labelmine.evaluation.wording import count, duration, percent
from labelmine.report.finding_pairs import file_words
from labelmine.report.page import Pairs, Table

#: Rows of a table; what is beyond is counted in the last.
MAX_ROWS = 12
#: Rows of a table that counts.
MOST_FREQUENT = 6


@dataclass(frozen=True)
class WeightsVerdict:
    """Whether a teacher's weights may be used with these images.

    Attributes:
        name: Of the weights.
        licence: Of the weights.
        seen: How many of the images the teacher was trained on; None where it kept no list.
        chosen: Whether this run would use it.
    """

    name: str
    licence: str
    seen: int | None
    chosen: bool = False

    def in_words(self) -> str:
        """Say whether figures on these images would be a claim."""
        if self.seen is None:
            return "keeps no list of the images that it learnt from: look it up before you claim figures"
        if self.seen:
            return f"has seen {self.seen} of these images: figures here would prove nothing"
        return "has seen none of these images"


@dataclass(frozen=True, kw_only=True)
class MiningCosts:
    """What ``mine`` will need on this machine, extrapolated.

    Attributes:
        seconds: By part, in order.
        memory: Bytes of main memory; None where the platform does not tell.
        gpu_memory: Bytes on the GPU; None without one.
        disk: Bytes that will be written, by part.
        free: Bytes free where they go.
        basis: What was measured, and with which settings, in words.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: float | None = None
    gpu_memory: float | None = None
    disk: Mapping[str, float] = field(default_factory=dict)
    free: float = math.inf
    basis: Sequence[str] = ()

    def in_words(self) -> str:
        """Say it in a line."""
        memory = f", memory {gigabytes(self.memory)}" if self.memory is not None else ""
        total = hours(sum(self.seconds.values()))
        return f"mine will need here, as an estimate: time up to {total}{memory}, disk {gigabytes(self.written)}"

    @property
    def written(self) -> float:
        """Bytes that will be written."""
        return sum(self.disk.values())


def counted(caption: str, names: Iterable[str], noun: str, what: str = "images") -> Table:
    """How many images (or others) have each name, the most frequent first."""
    counts = Counter(names).most_common()
    rows = [(name, str(number)) for name, number in counts[:MOST_FREQUENT]]
    if len(counts) > MOST_FREQUENT:
        rest = counts[MOST_FREQUENT:]
        rows.append((f"{len(rest)} others", str(sum(number for _, number in rest))))
    return Table(caption, (noun, what), rows)


def image_tables(facts: Sequence[ImageFacts]) -> list[Table]:
    """Formats with modalities, sizes, and spacing."""
    forms = (f"{one.format}, {one.modality}" if one.modality else one.format for one in facts)
    sizes = (f"{one.size[1]} x {one.size[0]}" for one in facts)
    return [
        counted("Formats, by content", forms, "format"),
        counted("Sizes, width by height in pixels", sizes, "size"),
        counted("Size of a pixel, row by column", (_spacing(one) for one in facts), "spacing"),
    ]


def class_table(facts: Sequence[ImageFacts], classes: Sequence[str]) -> Table | None:
    """Balance of classes over the images that have gold."""
    gold = [one for one in facts if one.areas]
    rows = []
    for index, name in enumerate(classes):
        areas = [one.areas[index] for one in gold]
        present = [area for area in areas if area]
        share = percent(float(np.mean(areas))) if areas else ""
        median = percent(float(np.median(present))) if present else ""
        rows.append((name, f"{len(present)} of {len(gold)}", share, median))
    header = ("class", "images that hold it", "share of all pixels", "median share where it is")
    return Table("Balance of classes", header, rows) if gold else None


def lesion_table(facts: Sequence[ImageFacts], classes: Sequence[str]) -> Table | None:
    """Lesions of each class by size."""
    rows = []
    for index, name in enumerate(classes):
        shares = np.array([share for one in facts if one.areas for share in one.lesions[index]])
        places = np.digitize(shares, list(SIZE_FROM.values())) - 1
        numbers = [str(int((places == place).sum())) for place in range(len(SIZE_FROM))]
        smallest = f"{percent(float(shares.min()))} to {percent(float(shares.max()))}" if len(shares) else ""
        rows.append((name, str(len(shares)), *numbers, smallest))
    header = ("class", "lesions", *(SIZE_LABELS[size] for size in SIZE_FROM), "smallest to largest")
    gold = any(one.areas for one in facts)
    return Table("Lesions (connected parts of a mask) by their share of the image", header, rows) if gold else None


def pair_table(pairs: Sequence[Pair]) -> Table | None:
    """The nearest near-duplicates."""
    nearest = sorted(pairs, key=lambda pair: (pair[2], pair[:2]))[:MAX_ROWS]
    rows = [(first, second, str(distance)) for first, second, distance in nearest]
    caption = f"The nearest {len(rows)} of {count(len(pairs), 'pair')}" if len(pairs) > MAX_ROWS else "All pairs"
    return Table(caption, ("image", "looks like", "of 512 bits differ"), rows) if rows else None


def reason_pairs(reasons: Sequence[Reason]) -> list[Pairs]:
    """What was set aside, and what is not used, by reason."""
    captions = {True: "Set aside, by reason", False: "Not used: files that belong to no image"}
    found = []
    for is_loss, caption in captions.items():
        chosen = [reason for reason in reasons if reason.is_loss is is_loss]
        rows = [
            (file_words(reason.count, reason.examples) if is_loss else reason.examples[0], reason.text)
            for reason in chosen[:MAX_ROWS]
        ]
        if len(chosen) > MAX_ROWS:
            rest = count(len(chosen) - MAX_ROWS, "more reason")
            rows.append((f"{sum(reason.count for reason in chosen[MAX_ROWS:])} more", f"{rest}, in quarantine.csv"))
        found.append(Pairs(f"{caption}; all are in quarantine.csv", rows, words=True))
    return found


def weights_pairs(verdicts: Sequence[WeightsVerdict]) -> Pairs:
    """Weights with their licences, and whether they know these images."""
    rows = [
        (f"{one.name}{' (chosen)' if one.chosen else ''}", f"{one.in_words()}. Licence: {one.licence}")
        for one in verdicts
    ]
    return Pairs("Teachers", rows, words=True)


def cost_pairs(costs: MiningCosts) -> Pairs:
    """Time, memory and disk."""
    rows = [(f"time: {part}", hours(seconds)) for part, seconds in costs.seconds.items()]
    rows.append(("time in all, at most", hours(sum(costs.seconds.values()))))
    if costs.memory is not None:
        rows.append(("memory", gigabytes(costs.memory)))
    if costs.gpu_memory is not None:
        rows.append(("memory of the GPU", gigabytes(costs.gpu_memory)))
    rows += [(f"disk: {part}", gigabytes(size)) for part, size in costs.disk.items()]
    return Pairs("An estimate", [*rows, ("disk that is free", gigabytes(costs.free))])


def hours(seconds: float) -> str:
    """``3 min 05 s``, from an hour on ``2 h 10 min``."""
    if seconds < 3600:
        return duration(seconds)
    whole, rest = divmod(round(seconds / 60), 60)
    return f"{whole} h {rest:02d} min"


def gigabytes(size: float) -> str:
    """``0.8 GB``; ``12 MB`` below a tenth of one."""
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{math.ceil(size / 1e6)} MB"


def _spacing(one: ImageFacts) -> str:
    return "the file does not say" if one.spacing is None else f"{one.spacing[0]:.3g} x {one.spacing[1]:.3g} mm"
