"""What a run found, in sentences that stand alone."""

from __future__ import annotations

from labelmine.evaluation.summary import FEW_IMAGES, paired_difference
from labelmine.evaluation.wording import count, interval_note, known, number, signed
from labelmine.report.context import GateSummary, PseudoLabelSummary, ReportContext
from labelmine.report.redaction import without_folders
from labelmine.report.run_tables import Summaries


def headline(context: ReportContext, summaries: Summaries) -> list[str]:
    """Say what the run found, in sentences that stand alone."""
    if not summaries:
        return ["No student was evaluated in this run."]
    lines = []
    if context.kept:
        reason = f" ({context.kept_reason})" if context.kept_reason else ""
        lines.append(f"The {context.kept} student was kept{reason}.")
    shown = context.kept if context.kept and context.kept in summaries else list(summaries)[-1]
    dice = summaries[shown]["dice"]
    subject = "Its mean Dice" if context.kept else "Mean Dice" if len(summaries) == 1 else f"Mean Dice of {shown}"
    images = count(dice["n"], "gold test image")
    lines.append(f"{subject} on {images} is {number(dice['mean'])}{interval_note(dice['ci95'])}.")
    if {"supervised", "mined"} <= set(summaries):
        lines += _comparison(context)
    return lines


def pseudo_label_sentences(summary: PseudoLabelSummary) -> list[str]:
    """Say how many pseudo labels were accepted and how good they are."""
    total = summary.accepted + summary.rejected
    source = f" ({without_folders(summary.source)})" if summary.source else ""
    lines = [f"{summary.accepted} of {total} pseudo labels were accepted{source}."]
    if summary.dice and known(summary.dice.get("mean")):
        line = f"Against gold that was hidden from training, they reach a mean Dice of {number(summary.dice['mean'])}"
        if summary.student_dice and known(summary.student_dice.get("mean")):
            line += f"; the student's own masks reach {number(summary.student_dice['mean'])}"
        lines.append(f"{line} ({count(summary.dice.get('n', 0), 'image')}).")
    return lines


def gate_sentences(gate: GateSummary) -> list[str]:
    """Say who labels and how far scores can be trusted."""
    lines = [gate.sentence]
    if gate.reliability is not None:
        made = "" if gate.rows else ", which were gold masks made worse in known ways"
        lines.append(
            f"Scores are expected Dice, learnt on {count(gate.n, 'label')} of held-out gold{made}; judged on labels "
            f"that they were not learnt from, they are off by {number(gate.error)} on average (calibration error)."
        )
    else:
        lines.append("Held-out gold was too little to calibrate scores: they are the labeler's own.")
    return lines


def warnings(context: ReportContext, summaries: Summaries) -> list[str]:
    """Sentences a reader must see before trusting a figure: the run's own, and what the figures call for."""
    lines = list(context.warnings)
    images = max((summary["dice"]["n"] for summary in summaries.values()), default=FEW_IMAGES)
    if images < FEW_IMAGES:
        few = count(images, "gold test image")
        lines.append(f"Only {few}: a mean over so few is uncertain; look at the single images.")
    return lines


def _comparison(context: ReportContext) -> list[str]:
    delta = paired_difference(context.tables["supervised"], context.tables["mined"], context.seed)
    low, high = delta["ci95"]
    lines = [f"Mining changed the mean Dice by {signed(delta['mean'])}{interval_note(delta['ci95'], signed)}."]
    if known(low) and low <= 0 <= high:
        lines.append("The interval includes zero: on these images the two students cannot be told apart.")
    lines.append(
        f"With mining {count(delta['better'], 'image')} came out better, {delta['worse']} worse, "
        f"{delta['same']} about the same (within 0.01)."
    )
    return lines
