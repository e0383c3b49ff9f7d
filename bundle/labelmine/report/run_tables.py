"""Tables of a run's page: students, sizes, lesions, the gate, counts, durations and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from labelmine.evaluation.summary import SIZE_FROM, SIZE_LABELS
from labelmine.evaluation.wording import duration, interval, number
from labelmine.report.context import GateSummary
from labelmine.report.page import Table
from labelmine.report.redaction import without_folders

COUNT_LABELS = {
    "n_gold": "gold images for training",
    "n_gold_val": "gold images for validation",
    "n_gold_test": "gold images for testing",
    "n_unlabeled": "images without a label (mined)",
    "n_quarantined": "files set aside",
    "n_near_duplicate_pairs": "near-duplicate pairs, kept together",
    "n_empty_masks": "gold masks without a lesion",
}
FALLING = 0.05  # relative fall of the loss over the last quarter of a training from which it had not settled
#: What `summarise` gives, by student.
Summaries = Mapping[str, Mapping[str, Any]]


def result_table(summaries: Summaries) -> Table:
    """Measures down, students across: as narrow as a phone."""
    rows = [
        ("Dice, mean", *(number(s["dice"]["mean"]) for s in summaries.values())),
        ("95 % interval", *(interval(s["dice"]["ci95"]) for s in summaries.values())),
        ("standard deviation", *(number(s["dice"]["std"]) for s in summaries.values())),
        ("Dice, median", *(number(s["dice"]["median"]) for s in summaries.values())),
        ("IoU, mean", *(number(s["iou"]["mean"]) for s in summaries.values())),
        *_surface_rows(summaries),
        ("test images", *(str(s["dice"]["n"]) for s in summaries.values())),
        ("of these without a lesion", *(str(s["n_empty_gold"]) for s in summaries.values())),
    ]
    return Table("Gold test images", ("", *summaries), rows)


def _surface_rows(summaries: Summaries) -> list[tuple[str, ...]]:
    """Distances between outlines; none where no spacing is known."""
    if not all("hd95" in summary for summary in summaries.values()):
        return []
    rows = [
        ("Hausdorff 95, mean (mm)", *(number(s["hd95"]["mean"]) for s in summaries.values())),
        ("surface Dice, mean", *(number(s["surface_dice"]["mean"]) for s in summaries.values())),
    ]
    if any(summary["hd95"]["n_undefined"] for summary in summaries.values()):
        rows.append(("images without a distance", *(str(s["hd95"]["n_undefined"]) for s in summaries.values())))
    return rows


def lesion_table(summaries: Summaries) -> Table | None:
    """Lesions found by their own size, and lesions invented; None where lesions were not counted."""
    if not summaries or not all("lesion_recall" in summary for summary in summaries.values()):
        return None
    recalls = [summary["lesion_recall"] for summary in summaries.values()]
    labels = {name: SIZE_LABELS[name] for name in SIZE_FROM} | {"all": "all sizes"}
    rows = [
        (label, str(recalls[0][name]["n"]), *(number(recall[name]["recall"]) for recall in recalls))
        for name, label in labels.items()
        if recalls[0][name]["n"]
    ]
    false = (number(summary["false_lesions"]["mean"]) for summary in summaries.values())
    rows.append(("false lesions per image", "", *false))
    return Table("Part of the lesions found, by the lesion's own size", ("", "lesions", *summaries), rows)


def breakdown_table(
    summaries: Summaries, key: str, caption: str, labels: Mapping[str, str] | None = None
) -> Table | None:
    """Mean Dice of each part of the test set: ``by_size``, or ``classes``; None where there is no such part."""
    first: Mapping[str, Any] = next(iter(summaries.values()), {}).get(key, {})
    order = [name for name in labels if name in first] if labels else list(first)
    rows = [
        (
            (labels or {}).get(name, name),
            str(first[name]["n"]),
            *(number(summary[key][name]["mean"]) for summary in summaries.values()),
        )
        for name in order
    ]
    return Table(caption, ("", "images", *summaries), rows) if rows else None


def size_table(summaries: Summaries) -> Table | None:
    """Mean Dice by the size of the lesion in gold."""
    return breakdown_table(summaries, "by_size", "Mean Dice by lesion size (share of the image)", SIZE_LABELS)


def gate_table(gate: GateSummary) -> Table | None:
    """Mean Dice of student, labeler and blend on held-out gold, by class and by the size of what the student found."""
    several = len({row["class"] for row in gate.rows}) > 1
    rows = [
        (
            f"{row['class']}, {row['size']}" if several else SIZE_LABELS.get(row["size"], "all sizes"),
            str(row["n"]),
            *(number(row[source]) for source in ("student", "labeler", "blend")),
            row["choice"],
        )
        for row in gate.rows
    ]
    caption = "Who labels: mean Dice on held-out gold, by the size of what the student found"
    return Table(caption, ("", "images", "student", "labeler", "blend", "chosen"), rows) if rows else None


def training_table(histories: Mapping[str, Sequence[Mapping[str, float]]], pixels: Any) -> Table | None:
    """What each student got: steps, pixels, time, and whether its loss was still falling; None without curves.

    Args:
        histories: Rows of ``history.csv`` by student.
        pixels: Side of their view; None: not known.
    """
    known = {name: rows for name, rows in histories.items() if rows and "step" in rows[-1]}
    if not known:
        return None
    rows = [
        ("optimizer steps", *(f"{rows[-1]['step']:.0f}" for rows in known.values())),
        *([("pixels, longest side", *(str(pixels) for _ in known))] if pixels else []),
        ("time", *(duration(sum(row["seconds"] for row in rows)) for rows in known.values())),
        ("training loss at the end", *(number(rows[-1]["train_loss"]) for rows in known.values())),
        ("fall over the last quarter", *(_falling([row["train_loss"] for row in rows]) for rows in known.values())),
    ]
    return Table("What each student got; where the loss still fell, more steps may help", ("", *known), rows)


def _falling(losses: Sequence[float]) -> str:
    """Say whether, and by how much, the last quarter's loss lies below that of the quarter before."""
    quarter = max(len(losses) // 4, 1)
    if len(losses) < 2 * quarter:
        return "not known"
    last, before = fmean(losses[-quarter:]), fmean(losses[-2 * quarter : -quarter])
    fall = (before - last) / abs(before) if before else 0.0
    return f"yes, {fall:.0%}" if fall > FALLING else "no"


def count_rows(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Counts with the words of `COUNT_LABELS`; other keys speak for themselves."""
    return [(COUNT_LABELS.get(key, key.replace("_", " ")), str(value)) for key, value in counts.items()]


def second_rows(seconds: Mapping[str, float]) -> list[tuple[str, str]]:
    """Stages and their durations, with the sum."""
    rows = [(stage.replace("_", " "), duration(value)) for stage, value in seconds.items()]
    return [*rows, ("together", duration(sum(seconds.values())))] if len(rows) > 1 else rows


def config_rows(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Knobs as dotted names with their values, folders cut off."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        nested = isinstance(value, Mapping) and value
        rows += config_rows(value, f"{name}.") if nested else [(name, str(without_folders(value)))]
    return rows
