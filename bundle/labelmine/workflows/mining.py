"""The end of ``configs/mine.yaml`` and ``train.yaml``: keep the better student, examine on gold, write all down."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from labelmine.atomic import write_whole
from labelmine.data import ImageSet, Item, LabelStore, LoadItem
from labelmine.evaluation import Case, best_median_worst, summarise, write_metrics, write_table
from labelmine.evaluation.summary import statistics
from labelmine.handlers import read_history
from labelmine.networks import Student
from labelmine.quality import Verdict
from labelmine.report import GateSummary, PseudoLabelSummary, ReportContext, write_report
from labelmine.teachers import Teacher, cache_metrics, seen_images
from labelmine.transforms import view_extent
from labelmine.workflows.prediction import Predictor, compare, evaluate, gold_of
from labelmine.workflows.review import write_review
from labelmine.workflows.run_folder import RunFolder

logger = logging.getLogger(__name__)

STUDENTS = ("supervised", "mined")
BEST_FILE, GATE_FILE = "best.safetensors", "gate.json"
EXAMPLES = {True: 4, False: 2}  # pictures of accepted and of rejected pseudo labels in the report


def best_student(folder: str | Path, device: torch.device | str = "cpu") -> Student:
    """Return the best student of a training stage, in evaluation mode."""
    return Student.load(Path(folder) / BEST_FILE)[0].to(device)


class Conclusion:
    """What a mining run ends with.

    Writes ``model.safetensors`` (the kept student), ``metrics.json``, ``test_<student>.csv`` and ``report/``.

    Args:
        run: The run's folder.
        images: The image set.
        store: Pseudo labels; None where nothing was mined.
        teacher: Asked which of the images it has seen, and what its cache was good for; None: no teacher.
        seed: Seed of the bootstrap.
        device: Where students predict.
        schedule: When pseudo labels were made, see ``PseudoLabeling``: by the supervised student before the second
            training (``one_time``), or by the mined one during and after it (``continuous``).
        tta: Whether the student prompted with its mean over flips and turns, see ``TestTimeAverage``.
        review_budget: Images that ``labels/review.csv`` marks for correction; see ``write_review``.
        review_diversity: See ``write_review``.
    """

    def __init__(
        self,
        run: RunFolder,
        images: ImageSet,
        store: LabelStore | None = None,
        teacher: Teacher | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        schedule: str = "one_time",
        tta: bool = False,
        review_budget: int = 20,
        review_diversity: float = 0.5,
    ) -> None:
        """Keep what is needed; nothing is done yet."""
        self.run = run
        self.images = images
        self.store = store
        self.teacher = teacher
        self.seed = seed
        self.device = device
        self.schedule = schedule
        self.tta = tta
        self.review_budget = review_budget
        self.review_diversity = review_diversity

    def __call__(self) -> None:
        """Choose, examine and write."""
        students = {n: self.run.path / n / BEST_FILE for n in STUDENTS}
        predictors = {n: Predictor.load(p, self.device) for n, p in students.items() if p.is_file()}
        val = {n: self._mean(p, self.images.val, f"validate {n}") for n, p in predictors.items()}
        kept = max(val, key=lambda name: val[name])  # the supervised student wins a tie: it comes first
        write_whole(self.run.path / "model.safetensors", students[kept].read_bytes())
        tables = {n: evaluate(p, self.images.test, self.images, f"test {n}") for n, p in predictors.items()}
        for name, table in tables.items():
            write_table(self.run.path / f"test_{name}.csv", table)
        who = "supervised" if self.schedule == "one_time" else "mined"
        prompter = Predictor.load(students[who], self.device, self.tta)
        pseudo = self._pseudo_labels(self.store, prompter) if self.store else None
        if self.store and self.images.unlabeled:
            budget, diversity = self.review_budget, self.review_diversity
            write_review(self.run.path, self.images, self.store, prompter, budget, diversity, folders=False)
        warnings = self._warnings()
        write_metrics(self.run.path / "metrics.json", self._metrics(tables, val, kept, pseudo, warnings))
        reason = "Dice on gold validation: " + ", ".join(f"{n} {v:.3f}" for n, v in val.items())
        context = ReportContext(
            dataset=self.images.name,
            seed=self.seed,
            title="Mining report" if self.store else "Training report",
            tables=tables,
            kept=kept,
            kept_reason=reason,
            histories={n: read_history(self.run.path / n / "history.csv") for n in predictors},
            label_history=read_history(self.run.path / "mined" / "label_history.csv"),
            pseudo_labels=pseudo,
            gate=self._gate() if self.store else None,
            counts=self.images.summary,
            quarantined=_quarantined(self.run.path / "quarantine.csv"),
            warnings=warnings,
            test_cases=self._test_cases(tables, predictors, kept),
            pseudo_cases=self._pseudo_cases(self.store, prompter) if self.store else (),
            seconds=self.run.seconds,
            command=f"python -m monai.bundle run --config_file configs/{'mine' if self.store else 'train'}.yaml",
            config=self.run.settings,
        )
        page = write_report(self.run.path, context)
        logger.info("kept the %s student (%s); report: %s/%s", kept, reason, page.parent.name, page.name)

    def _mean(self, predictor: Predictor, items: Sequence[Item], desc: str) -> float:
        return float(evaluate(predictor, items, self.images, desc)["dice"].mean())

    def _metrics(
        self,
        tables: Mapping[str, pd.DataFrame],
        val: Mapping[str, float],
        kept: str,
        pseudo: PseudoLabelSummary | None,
        warnings: Sequence[str],
    ) -> dict[str, Any]:
        return {
            "dataset": self.images.name,
            "seed": self.seed,
            **self.images.summary,
            **{name: summarise(table, self.seed) for name, table in tables.items()},
            "validation_dice": dict(val),
            "kept": kept,
            **({"pseudo_labels": asdict(pseudo)} if pseudo else {}),
            **self._verdict_figures(),
            "warnings": list(warnings),
            **cache_metrics(self.teacher),
            "seconds": self.run.seconds,
            "seconds_per_epoch": {n: _seconds_per_epoch(self.run.path / n / "history.csv") for n in tables},
        }

    def _pseudo_labels(self, store: LabelStore, student: Predictor) -> PseudoLabelSummary:
        store.finish(self.images.unlabeled)
        records = store.records()
        accepted = sum(bool(record["accepted"]) for record in records)
        known = [i for i in store.accepted_items(self.images.unlabeled) if "dropped_label" in i]
        label_dice = student_dice = None
        if known:
            labels = compare(((item, store.read(item)[0] > 0) for item in known), self.images)
            own = evaluate(student, known, self.images, "student on mined images")
            write_table(self.run.path / "labels" / "against_dropped_gold.csv", labels)
            label_dice, student_dice = (statistics(table, "dice", self.seed) for table in (labels, own))
        first = records[0] if records else {}
        return PseudoLabelSummary(
            accepted=accepted,
            rejected=len(records) - accepted,
            reasons=dict(Counter(_kind(record["reason"]) for record in records if not record["accepted"])),
            dice=label_dice,
            student_dice=student_dice,
            source=f"{first.get('labeler', 'none')}, teacher {first.get('teacher') or 'none'}",
        )

    def _gate(self) -> GateSummary | None:
        """Return what the gate found, where there was one."""
        path = self.run.path / GATE_FILE
        if not path.is_file():
            return None
        verdict = Verdict.load(path)
        learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
        return GateSummary(
            sentence=verdict.gate.sentence(),
            rows=verdict.gate.rows,
            reliability=learnt.bins() if learnt else None,
            error=learnt.error if learnt else float("nan"),
            n=len(learnt.observed) if learnt else 0,
        )

    def _verdict_figures(self) -> dict[str, Any]:
        """Return the part ``gate`` of ``metrics.json``."""
        path = self.run.path / GATE_FILE
        if not path.is_file():
            return {}
        verdict = Verdict.load(path)
        learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
        return {"gate": {**verdict.gate.to_json(), "calibration": learnt.summary() if learnt else None}}

    def _warnings(self) -> list[str]:
        warnings = []
        if self.store and not self.images.unlabeled:
            warnings.append(
                "All images have gold, so nothing was mined: both students learnt from the same masks. Add images "
                "without masks, or give --labeled_fraction 0.1 to see what a tenth of the masks is worth."
            )
        seen = seen_images(self.teacher, {item["image"] for item in self.images.items}) if self.teacher else []
        if self.teacher and seen:
            warnings.append(
                f"The teacher '{self.teacher.name}' was trained on {len(seen)} of these images "
                f"(for example {seen[0]}): its figures here prove nothing. Use weights that "
                "never saw this set, see models/README.md."
            )
        for sentence in warnings:
            logger.warning(sentence)
        return warnings

    def _test_cases(
        self, tables: Mapping[str, pd.DataFrame], predictors: Mapping[str, Predictor], kept: str
    ) -> list[Case]:
        items = {item["id"]: item for item in self.images.test}
        cases = []
        for caption, image_id in best_median_worst(tables[kept]).items():
            item = items[image_id]
            cases.append(
                Case(
                    id=image_id,
                    image=self._picture(item),
                    gold=gold_of(item, self.images),
                    predictions={n: self._mask(p, item) for n, p in predictors.items()},
                    dice={n: dict(zip(t["id"], t["dice"], strict=True))[image_id] for n, t in tables.items()},
                    caption=caption,
                )
            )
        return cases

    def _pseudo_cases(self, store: LabelStore, student: Predictor) -> list[Case]:
        items = {item["id"]: item for item in self.images.unlabeled}
        rng = np.random.default_rng(self.seed)
        cases = []
        for accepted, count in EXAMPLES.items():
            records = [r for r in store.records() if bool(r["accepted"]) is accepted and r["id"] in items]
            for index in sorted(rng.permutation(len(records))[:count]):
                cases.append(self._pseudo_case(items[records[index]["id"]], records[index], store, student))
        return cases

    def _pseudo_case(self, item: Item, record: Mapping[str, Any], store: LabelStore, student: Predictor) -> Case:
        image = self._picture(item)
        size = (image.shape[0], image.shape[1])
        extent = view_extent(size, record["view_size"])
        scale = np.array([size[1] / extent[1], size[0] / extent[0]])
        boxes = [np.array(p["box"]) * np.tile(scale, 2) for p in record["prompts"] if "box" in p]
        points = [np.array(p["points"]).reshape(-1, 2) * scale for p in record["prompts"] if "points" in p]
        labels = [np.array(p["point_labels"], dtype=int) for p in record["prompts"] if "points" in p]
        verdict = "accepted" if record["accepted"] else f"rejected: {record['reason']}"
        return Case(
            id=item["id"],
            image=image,
            gold=gold_of(item, self.images) if "dropped_label" in item else None,
            predictions={"student": self._mask(student, item), "pseudo label": store.read(item)[0] > 0},
            boxes=np.stack(boxes) if boxes else None,
            points=np.concatenate(points) if points else None,
            point_labels=np.concatenate(labels) if points else None,
            caption=f"{verdict}, score {record['score']:.2f}",
        )

    def _mask(self, predictor: Predictor, item: Item) -> Any:
        return next(predictor.masks([item], self.images, desc="picture"))[1]

    def _picture(self, item: Item) -> Any:
        load = LoadItem(self.images.classes, self.images.window, self.images.slice_axis)
        return load(item)["image"].permute(1, 2, 0).numpy()


def _seconds_per_epoch(path: Path) -> float:
    """Median of the epochs' wall-clock seconds: the first, which fills caches, and a busy machine's hardly count."""
    return round(float(pd.read_csv(path)["seconds"].median()), 2)


def _quarantined(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    return list(zip(table["path"].astype(str), table["reason"].astype(str), strict=True))


def _kind(reason: str) -> str:
    """Group reasons that differ only in their score."""
    return "low score" if reason.startswith("score") else reason
