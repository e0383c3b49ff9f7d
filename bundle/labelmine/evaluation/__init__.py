"""Metrics against gold and their summary: figures on files; the pages that show them are made in `labelmine.report`."""

from labelmine.evaluation.case import Case
from labelmine.evaluation.lesions import lesion_facts
from labelmine.evaluation.metrics import dice_iou, evaluate_masks
from labelmine.evaluation.summary import best_median_worst, paired_difference, summarise, write_metrics, write_table
from labelmine.evaluation.surface import surface_scores

__all__ = [
    "Case",
    "best_median_worst",
    "dice_iou",
    "evaluate_masks",
    "lesion_facts",
    "paired_difference",
    "summarise",
    "surface_scores",
    "write_metrics",
    "write_table",
]
