"""The end of mining: a student is kept, and what was found is written down."""

from __future__ import annotations

import logging
from dataclasses import asdict

from labelmine.data import ImageSet, LabelStore
from labelmine.evaluation import write_metrics
from labelmine.handlers import read_history
from labelmine.prediction import Pictures, Predictor, SavedStudent, examine
from labelmine.prediction.account import context_of, figures_of
from labelmine.report import write_report
from labelmine.review import write_review
from labelmine.run.files import LABEL_HISTORY_FILE, METRICS_FILE, MINED, SUPERVISED
from labelmine.teachers import Teacher, cache_metrics, seen_images
from labelmine.training import TrainingTask
from labelmine.workflows.mine.gate_summary import fit_figures, gate_figures, gate_summary
from labelmine.workflows.mine.knobs import MineKnobs
from labelmine.workflows.mine.label_summary import in_words, summarise_labels
from labelmine.workflows.mine.review_summary import review_figures, review_sentences

logger = logging.getLogger(__name__)


def conclude(task: TrainingTask[MineKnobs], store: LabelStore, prompter: SavedStudent, teacher: Teacher | None) -> None:
    """Write ``model.safetensors``, ``test_<student>.csv``, ``metrics.json``, ``labels/review.csv`` and ``report/``.

    Args:
        task: Folder and images.
        store: The pseudo labels.
        prompter: The student that prompted for them.
        teacher: Asked which of the images it has seen, and what its cache was good for; None: no teacher.
    """
    path, images, knobs = task.folder.path, task.images, task.knobs
    examined = examine(path, (SUPERVISED, MINED), images, knobs.device, prefer_last=True)
    student = Predictor(prompter.student, task.view_size, tta=knobs.tta)
    labels = summarise_labels(store, images, student, path, knobs.seed)
    if images.unlabeled:
        write_review(path, images, store, student, knobs.review_budget, knobs.review_diversity, folders=False)
    warnings = _warnings(images, teacher)
    figures = figures_of(task, examined)
    reviewed = review_figures(knobs.corrections, path, figures)
    for sentence in review_sentences(reviewed):
        logger.info(sentence)
    write_metrics(
        path / METRICS_FILE,
        {
            **figures,
            **reviewed,
            "pseudo_labels": asdict(labels),
            **fit_figures(path),
            **gate_figures(path),
            "warnings": warnings,
            **cache_metrics(teacher),
        },
    )
    context = context_of(
        task,
        examined,
        title="Mining report",
        label_history=read_history(path / MINED / LABEL_HISTORY_FILE),
        pseudo_labels=in_words(labels),
        gate=gate_summary(path),
        warnings=warnings,
        pseudo_cases=Pictures(images).of_labels(store, student, knobs.seed),
    )
    page = write_report(path, context)
    logger.info("report: %s/%s", page.parent.name, page.name)


def _warnings(images: ImageSet, teacher: Teacher | None) -> list[str]:
    warnings = []
    if not images.unlabeled:
        warnings.append(
            "All images have gold, so nothing was mined: both students learnt from the same masks. Add images "
            "without masks, or give --labeled_fraction 0.1 to see what a tenth of the masks is worth."
        )
    seen = seen_images(teacher, {item["image"] for item in images.items}) if teacher else []
    if teacher and seen:
        warnings.append(
            f"The teacher '{teacher.name}' was trained on {len(seen)} of these images (for example {seen[0]}): its "
            "figures here prove nothing. Use weights that never saw this set, see models/README.md."
        )
    for sentence in warnings:
        logger.warning(sentence)
    return warnings
