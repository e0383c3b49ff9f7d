"""The end of ``configs/synthesize.yaml``: are made images good, do they help, and a page that says so."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from labelmine.data import Item
from labelmine.evaluation import paired_difference, summarise, write_metrics
from labelmine.handlers import read_history
from labelmine.prediction import examine
from labelmine.run.files import HISTORY_FILE, METRICS_FILE, MIXED, REPORT_FOLDER, SUPERVISED
from labelmine.synthesis import Likeness, generator_views, gold_of_generator, likeness
from labelmine.synthesis.page import SynthesisReport, write_synthesis_page
from labelmine.teachers import Teacher, seen_images
from labelmine.training import TrainingTask
from labelmine.workflows.synthesize.feature_networks import FeatureNetwork
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.made_items import CANDIDATES, DATASET, TABLE, made_items

logger = logging.getLogger(__name__)

SHOWN = 24  # images in each grid of the page


class SynthesisConclusion:
    """What a synthesis run ends with.

    Writes ``metrics.json``, ``report/index.html`` and, where pairs were made, ``test_<student>.csv`` and
    ``model.safetensors``: the student that saw made pairs, if gold validation shows that they help, else the other.

    Args:
        task: Folder and images.
        features: Feature network of the Fréchet distance.
        teacher: Asked which of the images it has seen; None: no teacher took part.
    """

    def __init__(
        self, task: TrainingTask[SynthesizeKnobs], features: FeatureNetwork, teacher: Teacher | None = None
    ) -> None:
        """Keep what is needed; nothing is done yet."""
        self.task = task
        self.run = task.folder
        self.images = task.images
        self.knobs = task.knobs
        self.features = features
        self.teacher = teacher

    def __call__(self) -> None:
        """Choose, examine and write."""
        labelled = self.knobs.content != "images"
        stages = (SUPERVISED, MIXED)
        examined = examine(self.run.path, stages, self.images, self.knobs.device) if labelled else None
        tables = examined.tables if examined else {}
        val_dice = dict(examined.validation) if examined else {}
        kept = examined.kept if examined else None
        candidates = pd.read_csv(self.run.path / TABLE, dtype={"id": str, "source": str}, keep_default_na=False)
        accepted = candidates["accepted"] == 1
        reasons = dict(Counter(candidates.loc[~accepted, "reason"]))
        rows, pictures = self._likeness(candidates)
        warnings = self._warnings()
        figures = {
            "dataset": self.images.name,
            "seed": self.knobs.seed,
            **self.images.summary,
            "content": self.knobs.content,
            **{name: summarise(table, self.knobs.seed) for name, table in tables.items()},
            **self._difference(tables),
            "validation_dice": val_dice,
            "kept": kept,
            "candidates": {"accepted": int(accepted.sum()), "rejected": int((~accepted).sum()), "reasons": reasons},
            "feature_network": self.features.name,
            "likeness": [asdict(row) for row in rows],
            "warnings": warnings,
            "seconds": self.run.seconds,
        }
        write_metrics(self.run.path / METRICS_FILE, figures)
        report = SynthesisReport(
            dataset=self.images.name,
            seed=self.knobs.seed,
            content=self.knobs.content,
            inpainted=self.knobs.inpaint,
            tables=tables,
            validation_dice=val_dice,
            kept=kept,
            accepted=int(accepted.sum()),
            reasons=reasons,
            likeness=rows,
            feature_network=self.features.name,
            pictures=pictures,
            histories={n: read_history(self.run.path / n / HISTORY_FILE) for n in ("generator", *tables)},
            warnings=warnings,
            seconds=self.run.seconds,
            settings=self.run.settings,
        )
        page = write_synthesis_page(report, self.run.path / REPORT_FOLDER)
        for line in report.headline():
            logger.info("%s", line)
        if self.knobs.content == "images":
            logger.info("to label them: mine.yaml --dataset_dir %s/%s, with any labeler", self.run.path.name, DATASET)
        logger.info("report: %s/%s", page.parent.name, page.name)

    def _difference(self, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        if {SUPERVISED, MIXED} - set(tables):
            return {}
        return {"difference": paired_difference(tables[SUPERVISED], tables[MIXED], self.knobs.seed)}

    def _likeness(self, candidates: pd.DataFrame) -> tuple[list[Likeness], dict[str, tuple[Tensor, Tensor | None]]]:
        """Compare sets of images with the gold that trains; return also images and masks to be shown."""
        accepted = torch.tensor((candidates["accepted"] == 1).to_numpy())
        labelled = self.knobs.content != "images"
        gold, gold_masks = self._squares(gold_of_generator(self.images), labelled)
        held_out, _ = self._squares([*self.images.val, *self.images.test], labelled)
        made, masks = self._squares(made_items(self.run.path / CANDIDATES, candidates["id"], labelled), labelled)
        known, seen = self.features(gold), self.features(made)
        rows = [
            likeness("gold, training", gold, known, gold, known, itself=True),
            likeness("gold, validation and test", held_out, self.features(held_out), gold, known),
            likeness("candidates", made, seen, gold, known),
            likeness("admitted", made[accepted], seen[accepted], gold, known),
        ]
        shown = {
            "real": _first(gold, gold_masks, torch.ones(len(gold), dtype=torch.bool)),
            "admitted": _first(made, masks, accepted),
            "rejected": _first(made, masks, ~accepted),
        }
        return rows, {name: pair for name, pair in shown.items() if len(pair[0])}

    def _squares(self, items: Sequence[Item], labelled: bool) -> tuple[Tensor, Tensor | None]:
        """Return images (N, 3, S, S) in [0, 1], and where wanted masks (N, K, S, S) of 0 and 1."""
        views = list(generator_views(items, self.images, self.knobs.generator_size))
        masks = torch.stack([(view["label"] > 0).float() for view in views]) if labelled else None
        return torch.stack([(view["image"] + 1) / 2 for view in views]), masks

    def _warnings(self) -> list[str]:
        seen = seen_images(self.teacher, {item["image"] for item in self.images.items}) if self.teacher else []
        if not self.teacher or not seen:
            return []
        return [
            f"The teacher '{self.teacher.name}', which helped to admit pairs, was trained on {len(seen)} of these "
            f"images (for example {seen[0]}). Use weights that never saw this set, see models/README.md."
        ]


def _first(images: Tensor, masks: Tensor | None, chosen: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the first of the chosen (N,) that a grid of the page has room for."""
    return images[chosen][:SHOWN], masks[chosen][:SHOWN] if masks is not None else None
