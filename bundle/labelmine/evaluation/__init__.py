"""Metrics against gold, their summary, and the report that people read."""

from labelmine.evaluation.context import Case, GateSummary, PseudoLabelSummary, ReportContext
from labelmine.evaluation.lesions import lesion_facts
from labelmine.evaluation.metrics import dice_iou, evaluate_masks
from labelmine.evaluation.report import write_report
from labelmine.evaluation.summary import best_median_worst, paired_difference, summarise, write_metrics, write_table
from labelmine.evaluation.surface import surface_scores

__all__ = [
    "Case",
    "GateSummary",
    "PseudoLabelSummary",
    "ReportContext",
    "best_median_worst",
    "dice_iou",
    "evaluate_masks",
    "lesion_facts",
    "paired_difference",
    "summarise",
    "surface_scores",
    "write_metrics",
    "write_report",
    "write_table",
]
