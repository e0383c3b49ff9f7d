"""The words and tables of the report, made from figures; the template only lays them out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelmine.evaluation.context import Epoch, GateSummary, PseudoLabelSummary, ReportContext
from labelmine.evaluation.redaction import without_folders
from labelmine.evaluation.summary import SIZE_FROM, SIZE_LABELS, paired_difference

# Below this many test images a mean is too uncertain to rely on, and the page says so. Our choice.
FEW_IMAGES = 20
COUNT_LABELS = {
    "n_gold": "gold images for training",
    "n_gold_val": "gold images for validation",
    "n_gold_test": "gold images for testing",
    "n_unlabeled": "images without a label (mined)",
    "n_quarantined": "files set aside",
    "n_near_duplicate_pairs": "near-duplicate pairs, kept together",
    "n_empty_masks": "gold masks without a lesion",
}
UNKNOWN = "\N{EN DASH}"
Summaries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Grid:
    """A table of the page; the first cell of each row is its heading."""

    caption: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def headline(context: ReportContext, summaries: Summaries) -> list[str]:
    """Say what the run found, in sentences that stand alone."""
    if not summaries:
        return ["No student was evaluated in this run."]
    lines = []
    if context.kept:
        reason = f" ({without_folders(context.kept_reason)})" if context.kept_reason else ""
        lines.append(f"The {context.kept} student was kept{reason}.")
    shown = context.kept if context.kept and context.kept in summaries else list(summaries)[-1]
    dice = summaries[shown]["dice"]
    subject = "Its mean Dice" if context.kept else "Mean Dice" if len(summaries) == 1 else f"Mean Dice of {shown}"
    lines.append(f"{subject} on {_images(dice['n'])} is {number(dice['mean'])}{interval_note(dice['ci95'])}.")
    if {"supervised", "mined"} <= set(summaries):
        lines += _comparison(context)
    return lines


def result_grid(summaries: Summaries) -> Grid:
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
    return Grid("Gold test images", ("", *summaries), rows)


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


def lesion_grid(summaries: Summaries) -> Grid | None:
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
    return Grid("Part of the lesions found, by the lesion's own size", ("", "lesions", *summaries), rows)


def breakdown_grid(
    summaries: Summaries, key: str, caption: str, labels: Mapping[str, str] | None = None
) -> Grid | None:
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
    return Grid(caption, ("", "images", *summaries), rows) if rows else None


def size_grid(summaries: Summaries) -> Grid | None:
    """Mean Dice by the size of the lesion in gold."""
    return breakdown_grid(summaries, "by_size", "Mean Dice by lesion size (share of the image)", SIZE_LABELS)


def pseudo_label_sentences(summary: PseudoLabelSummary) -> list[str]:
    """Say how many pseudo labels were accepted and how good they are."""
    total = summary.accepted + summary.rejected
    source = f" ({without_folders(summary.source)})" if summary.source else ""
    lines = [f"{summary.accepted} of {total} pseudo labels were accepted{source}."]
    if summary.dice and known(summary.dice.get("mean")):
        line = f"Against gold that was hidden from training, they reach a mean Dice of {number(summary.dice['mean'])}"
        if summary.student_dice and known(summary.student_dice.get("mean")):
            line += f"; the student's own masks reach {number(summary.student_dice['mean'])}"
        lines.append(f"{line} ({_images(summary.dice.get('n', 0), 'image')}).")
    return lines


def gate_sentences(gate: GateSummary) -> list[str]:
    """Say who labels and how far scores can be trusted."""
    lines = [gate.sentence]
    if gate.reliability is not None:
        made = "" if gate.rows else ", which were gold masks made worse in known ways"
        lines.append(
            f"Scores are expected Dice, learnt on {_images(gate.n, 'label')} of held-out gold{made}; judged on labels "
            f"that they were not learnt from, they are off by {number(gate.error)} on average (calibration error)."
        )
    else:
        lines.append("Held-out gold was too little to calibrate scores: they are the labeler's own.")
    return lines


def gate_grid(gate: GateSummary) -> Grid | None:
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
    return Grid(caption, ("", "images", "student", "labeler", "blend", "chosen"), rows) if rows else None


def label_curves(history: Sequence[Epoch]) -> dict[str, list[dict[str, float]]]:
    """Lines of the figure of pseudo labels by epoch; those without a known value are left out."""
    names = {"Dice against hidden gold": "dice", "score": "score", "fraction accepted": "accepted"}
    curves = {
        name: [{"epoch": row["epoch"], "value": row[key]} for row in history if known(row.get(key))]
        for name, key in names.items()
    }
    return {name: rows for name, rows in curves.items() if rows}


def warnings(context: ReportContext, summaries: Summaries) -> list[str]:
    """Sentences a reader must see before trusting a figure: the run's own, and what the figures call for."""
    lines = [str(without_folders(line)) for line in context.warnings]
    count = max((summary["dice"]["n"] for summary in summaries.values()), default=FEW_IMAGES)
    if count < FEW_IMAGES:
        lines.append(f"Only {_images(count)}: a mean over so few is uncertain; look at the single images.")
    return lines


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


def number(value: float | None) -> str:
    """Three decimals, or a dash where the figure is not known."""
    return f"{value:.3f}" if known(value) else UNKNOWN


def interval(ends: Sequence[float | None], form: Callable[[float | None], str] = number) -> str:
    """``0.651 to 0.742``."""
    return f"{form(ends[0])} to {form(ends[1])}" if all(map(known, ends)) else UNKNOWN


def interval_note(ends: Sequence[float | None], form: Callable[[float | None], str] = number) -> str:
    """`` (95 % interval 0.651 to 0.742)``, or nothing where it is not known."""
    return f" (95 % interval {interval(ends, form)})" if all(map(known, ends)) else ""


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def signed(value: float | None) -> str:
    """Three decimals with a plus or a minus, or a dash where the figure is not known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def known(value: float | None) -> bool:
    """Whether there is a figure."""
    return value is not None and math.isfinite(value)


def _comparison(context: ReportContext) -> list[str]:
    delta = paired_difference(context.tables["supervised"], context.tables["mined"], context.seed)
    low, high = delta["ci95"]
    lines = [f"Mining changed the mean Dice by {signed(delta['mean'])}{interval_note(delta['ci95'], signed)}."]
    if known(low) and low <= 0 <= high:
        lines.append("The interval includes zero: on these images the two students cannot be told apart.")
    lines.append(
        f"With mining {_images(delta['better'], 'image')} came out better, {delta['worse']} worse, "
        f"{delta['same']} about the same (within 0.01)."
    )
    return lines


def _images(count: int, noun: str = "gold test image") -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
