"""Before anything is labelled: what gold that no student saw says about the labeler (``gate.json``, ``gate.csv``)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from labelmine.evaluation import write_table
from labelmine.evaluation.summary import SIZE_FROM
from labelmine.labelers import GatedLabeler, Labeler, PseudoLabel
from labelmine.labelers.prediction import predict_once
from labelmine.progress import progress
from labelmine.quality import (
    AreaRange,
    DrawnBy,
    ExpectedDice,
    Verdict,
    area_fraction,
    as_table,
    blended,
    class_dice,
    decide,
    uncompared_gate,
)
from labelmine.quality.corruption import corrupted
from labelmine.ranges import check_number
from labelmine.run.files import GATE_FILE
from labelmine.workflows.mine.held_out import HeldOut

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
MIN_FOUND = 0.75  # part of the labels under the laxest setting that a stricter one must leave
AS_WELL = 0.002  # Dice by which a setting may fall behind the best and counts as good all the same
MIN_EMPTY = 5  # held-out images without a label below which it cannot be told whether empty labels are right


@dataclass(frozen=True)
class _Examined:
    """A batch of gold, what the labeler answered (nothing: it was not asked), and the student's probability."""

    batch: Batch
    answers: Mapping[float, PseudoLabel]
    probability: Tensor

    def found(self, setting: float) -> Tensor:
        """Return (B,) whether an image gets a label under a setting."""
        return (self.answers[setting].mask > 0.5).flatten(1).any(1)

    def mask(self, setting: float) -> Tensor:
        """Return the label (B, K, H, W) under a setting; for none the student's mask, as to abstain does no harm."""
        found = self.found(setting).reshape(-1, 1, 1, 1)
        return torch.where(found, self.answers[setting].mask, self.probability)


class GateStage:
    """Examine a labeler on gold that its student never saw, and write the verdict that ``GatedLabeler`` goes by.

    A verdict that is there already stands: the run was resumed.

    Args:
        labeler: Who is examined.
        held_out: Views of gold that students never saw.
        references: Batches of views of training gold, for the range of areas.
        class_names: The K classes.
        folder: Where ``gate.json`` and ``gate.csv`` (Dice of each source by image and class) go.
        exclusive: Whether classes exclude each other.
        margin: By how much the labeler must beat the student; see ``labelmine.quality.decide``.
        groups: Patient or video of an image by id; its own id where it is missing.
        device: Where to work.
    """

    def __init__(
        self,
        labeler: Labeler,
        held_out: Sequence[HeldOut],
        references: Iterable[Batch],
        class_names: Sequence[str],
        folder: str | Path,
        exclusive: bool = False,
        margin: float = 0.0,
        groups: Mapping[str, str] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Keep what is needed; nothing is asked yet."""
        check_number("gate_margin", margin, -1, 1)
        self.labeler = labeler
        self.held_out = held_out
        self.references = references
        self.class_names = tuple(class_names)
        self.folder = Path(folder).expanduser()
        self.exclusive = exclusive
        self.margin = margin
        self.groups = groups or {}
        self.device = torch.device(device)

    def __call__(self) -> None:
        """Compare, calibrate and write."""
        path = self.folder / GATE_FILE
        if path.is_file():
            return
        held_out = [replace(part, batches=[self._moved(batch) for batch in part.batches]) for part in self.held_out]
        known = any(self.labeler.knows(i) for part in held_out for batch in part.batches for i in batch["id"])
        examined = [one for part in held_out for one in self._examine(part, known)]
        masks = (
            mask for batch in [*self.references, *(one.batch for one in examined)] for mask in batch["label"].cpu()
        )
        area_range = AreaRange.of(masks)
        setting = self._choose(examined) if known else 0.0
        if known:
            table = self._compare(examined, setting)
            write_table(self.folder / "gate.csv", table)
            gate = decide(table, self.class_names, SIZE_FROM, self.margin)
        else:
            gate = uncompared_gate(self.class_names, SIZE_FROM)
        verdict = Verdict(
            gate=gate, expected_dice=None, area_range=area_range, source=self.labeler.source, setting=setting
        )
        if known:
            learnt, empty_dice = self._calibrate(examined, verdict)
        else:
            learnt, empty_dice = self._calibrate_by_corruption(examined, verdict), 0.0
        replace(verdict, expected_dice=learnt, empty_dice=empty_dice).save(path)
        logger.info("gate: %s", gate.sentence())
        if gate.chosen == {DrawnBy.STUDENT}:
            logger.warning("gate: the labeler does not help on held-out gold; the student's own masks take its place.")
        if learnt is None or learnt.calibration is None:
            logger.warning("gate: too little held-out gold to calibrate scores; labels keep the labeler's own.")
        else:
            logger.info("gate: expected Dice %s", learnt.calibration.summary())

    def _examine(self, part: HeldOut, ask: bool) -> Iterator[_Examined]:
        """Yield what the labeler, where it is asked, and the student answer to batches."""
        labeler, student = part.labeler or self.labeler, part.student
        labeler.prepare(student)
        for batch in progress(part.batches, "gate", "batch"):
            answers = labeler.answers(batch, student) if ask else {}
            yield _Examined(batch, answers, predict_once(student, batch, self.exclusive, *list(answers.values())[:1]))

    @staticmethod
    def _choose(examined: Sequence[_Examined]) -> float:
        """Return the labeler's setting of the best mean Dice; of those that do as well the strictest.

        Where few images are held out, they may show none of the objects that it is there to leave out. A setting that
        leaves too many images without a label is not taken.
        """
        settings = sorted(examined[0].answers) if examined else [0.0]
        found = {setting: sum(int(one.found(setting).sum()) for one in examined) for setting in settings}
        dice = {
            setting: float(torch.cat([class_dice(one.mask(setting), one.batch["label"]) for one in examined]).mean())
            for setting in settings
            if found[setting] >= MIN_FOUND * found[settings[0]]
        }
        if len(settings) > 1:
            logger.info("gate: Dice of labels by min_iou: %s", ", ".join(f"{k:g} {v:.3f}" for k, v in dice.items()))
        best = max(dice.values())
        return max(setting for setting, value in dice.items() if value >= best - AS_WELL)

    def _compare(self, examined: Sequence[_Examined], setting: float) -> pd.DataFrame:
        """Return a row per image and class: area of the student's mask, and Dice of each source."""
        rows: list[dict[str, Any]] = []
        for one in examined:
            batch, label, probability = one.batch, one.mask(setting), one.probability
            masks = {
                DrawnBy.STUDENT: probability,
                DrawnBy.LABELER: label,
                DrawnBy.BLEND: blended(label, probability, self.exclusive),
            }
            dice = {name: class_dice(mask, batch["label"]) for name, mask in masks.items()}
            area = area_fraction(probability, batch["weight"] > 0)
            for b, image_id in enumerate(batch["id"]):
                for k, name in enumerate(self.class_names):
                    scores = {source.value: float(values[b, k]) for source, values in dice.items()}
                    rows.append({"id": image_id, "class": name, "area": float(area[b, k]), **scores})
        return pd.DataFrame(rows)

    def _calibrate(self, examined: Sequence[_Examined], verdict: Verdict) -> tuple[ExpectedDice | None, float]:
        """Learn from the labels that the gated labeler gives to gold images; also how often empty ones are right."""
        gated = GatedLabeler(self.labeler, verdict, self.exclusive, min_score=0.0)
        signals, dice, groups = [], [], []
        empty: list[float] = []
        for one in examined:
            batch = one.batch
            label = gated.judge(batch, one.answers[verdict.setting], one.probability)
            found = (label.mask > 0.5).flatten(1).any(1)
            signals.append({name: value[found] for name, value in label.signals.items()})
            right = class_dice(label.mask, batch["label"]).mean(1)
            dice.append(right[found])
            empty += (~(batch["label"] > 0.5).flatten(1).any(1))[~found].float().tolist()
            groups += [self._group(i) for i, f in zip(batch["id"], found.tolist(), strict=True) if f]
        return _fit(signals, dice, groups), float(np.mean(empty)) if len(empty) >= MIN_EMPTY else 0.0

    def _calibrate_by_corruption(self, examined: Sequence[_Examined], verdict: Verdict) -> ExpectedDice | None:
        """Learn from gold masks made worse in known ways, as the labeler has no answer on these images."""
        probability = torch.cat([one.probability for one in examined])
        gold = torch.cat([one.batch["label"] for one in examined])
        ids = [image_id for one in examined for image_id in one.batch["id"]]
        made = list(corrupted(gold.cpu().numpy() > 0.5))
        index = torch.tensor([n for n, _ in made])
        labels = torch.from_numpy(np.stack([label for _, label in made])).float().to(gold.device)
        signals = verdict.signals(labels, probability[index], {})
        return _fit([signals], [class_dice(labels, gold[index]).mean(1)], [self._group(ids[n]) for n, _ in made])

    def _group(self, image_id: str) -> str:
        return self.groups.get(image_id, image_id)

    def _moved(self, batch: Batch) -> dict[str, Any]:
        return {key: value.to(self.device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def _fit(signals: Sequence[dict[str, Tensor]], dice: Sequence[Tensor], groups: Sequence[str]) -> ExpectedDice | None:
    joined = {name: torch.cat([part[name] for part in signals]) for name in signals[0]} if signals else {}
    return ExpectedDice.fit(as_table(joined), torch.cat(list(dice)).cpu().numpy(), groups)
