"""Any label can be made again from what the manifest holds: ask once more and compare (``configs/replay.yaml``)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import LoadItem
from labelmine.errors import DataError, WeightsError
from labelmine.evaluation import write_metrics, write_table
from labelmine.labelers import Labeler, PseudoLabel, SelfLabeler
from labelmine.labelers.prediction import predict_once
from labelmine.labelers.prompted import united
from labelmine.networks import Student, StudentNetwork, TestTimeAverage
from labelmine.progress import ProgressLine
from labelmine.prompts import Prompts
from labelmine.quality import DrawnBy, blended
from labelmine.teachers import Teacher, cache_metrics
from labelmine.transforms import StudentView, teacher_images, to_original
from labelmine.transforms.view import TEACHER_IMAGE
from labelmine.workflows.replay.decisions import DECISIONS_TABLE, DecisionReplay
from labelmine.workflows.replay.outcomes import DIFFERENT, EQUAL, NOT_REPLAYABLE, OUTCOMES
from labelmine.workflows.replay.recorded_run import RecordedRun, chosen_records

logger = logging.getLogger(__name__)

Record = Mapping[str, Any]


class Replay:
    """Make labels again and compare them with the stored masks, pixel by pixel.

    The teacher is asked again with the recorded prompts; the student whose hash is on record predicts again where it
    had a part in the label (its own masks, blends). Labelers without prompts (references, recorded masks) and mask
    prompts are asked again from ``again``; without it such labels are counted as not replayable.

    Batches are those of the run as far as the manifest tells, since the last bits of a sum depend on what else is
    computed with it.

    Args:
        run: The run.
        teacher: The teacher of the run.
        output_dir: Where ``replay.csv`` (one row per label) and ``metrics.json`` go.
        ids: Images to replay; None: all.
        again: The run's labeler, for labels that prompts alone do not tell.
        decisions: What reviewers decided of the labels; None: nobody reviewed them.
        strict: Whether a label that comes out otherwise is an error.
        batch_size: As in the run.
        device: Where to work.

    Raises:
        DataError: An image that has no label, or, when called, a label that comes out otherwise.
        WeightsError: A label of another teacher.
    """

    def __init__(
        self,
        run: RecordedRun,
        teacher: Teacher | None,
        output_dir: str,
        ids: Sequence[str] | str | None = None,
        again: Labeler | None = None,
        decisions: DecisionReplay | None = None,
        strict: bool = True,
        batch_size: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        """Look the records up and refuse another teacher's."""
        self.run = run
        self.teacher = teacher
        self.folder = Path(output_dir).expanduser()
        self.again = again
        self.decisions = decisions
        self.strict = strict
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.records = chosen_records(run.store, ids)
        self._load = LoadItem(run.store.classes, run.window, run.slice_axis)
        self._student: tuple[tuple[str, bool], StudentNetwork] | None = None
        for record in self.records:
            self._refuse_other_teacher(record)

    @torch.no_grad()
    def __call__(self) -> pd.DataFrame:
        """Replay; return a row per label: ``id``, ``outcome``, ``pixels`` that differ, ``reason``."""
        rows: list[dict[str, Any]] = []
        with ProgressLine("replay", "label", len(self.records)) as line:
            for start in range(0, len(self.records), self.batch_size):
                block = self.records[start : start + self.batch_size]
                rows += self._block(block)
                line.update(len(block))
        table = pd.DataFrame(rows, columns=["id", "outcome", "pixels", "reason"])
        self._write(table)
        return table

    def _block(self, block: Sequence[Record]) -> list[dict[str, Any]]:
        """Replay consecutive records; those of one form are asked together."""
        rows = {record["id"]: _row(record, NOT_REPLAYABLE, None, self._obstacle(record)) for record in block}
        ready = [record for record in block if not self._obstacle(record)]
        for _, same in groupby(sorted(ready, key=_form), key=_form):
            records = list(same)
            batch = self._views(records)
            mask = self._drawn(records, batch)
            for record, view, size in zip(records, mask.cpu(), batch["original_size"].tolist(), strict=True):
                rows[record["id"]] = self._compared(record, (to_original(view, tuple(size)) > 0.5).numpy())
        return [rows[record["id"]] for record in block]

    def _obstacle(self, record: Record) -> str:
        """Say why a record cannot be replayed; nothing: it can."""
        if record["id"] not in self.run.items:
            return "its image is not in the image set"
        by_labeler = {DrawnBy.LABELER, DrawnBy.BLEND} & set(_drawn_by(record)) and record.get("labeler") != "self"
        if self.again is None and by_labeler and not _by_prompts(record):
            return f"labeler {record.get('labeler')}{_by_mask(record)}: prompts alone do not tell this label"
        sha256 = record.get("student_sha256", "")
        if _needs_student(record) and sha256 not in self.run.students:
            return f"the student that it depends on ({sha256[:12]}) is not there"
        return ""

    def _views(self, records: Sequence[Record]) -> dict[str, Any]:
        view = StudentView(int(records[0]["view_size"]), records[0].get("teacher_size"))
        views = [view(self._load(self.run.items[record["id"]])) for record in records]
        keys = [key for key in ("image", "weight", "original_size", TEACHER_IMAGE) if key in views[0]]
        batch = {key: torch.stack([one[key] for one in views]) for key in keys}
        return {key: value.to(self.device) for key, value in batch.items()} | {"id": [r["id"] for r in records]}

    def _drawn(self, records: Sequence[Record], batch: Mapping[str, Any]) -> Tensor:
        """Return (B, K, S, S): each class from whoever drew it."""
        drawn = _drawn_by(records[0])
        masks: dict[DrawnBy, Tensor] = {}
        answer: PseudoLabel | None = None
        if {DrawnBy.LABELER, DrawnBy.BLEND} & set(drawn):
            if _by_prompts(records[0]):
                masks[DrawnBy.LABELER] = self._prompted(records, batch)
            else:
                answer = self._asked_again(records, batch)
                masks[DrawnBy.LABELER] = answer.mask
        if _needs_student(records[0]):
            masks[DrawnBy.STUDENT] = predict_once(self._student_of(records[0]), batch, self.run.exclusive, answer)
        if DrawnBy.BLEND in drawn:
            masks[DrawnBy.BLEND] = blended(masks[DrawnBy.LABELER], masks[DrawnBy.STUDENT], self.run.exclusive)
        masks[DrawnBy.NOBODY] = torch.zeros_like(next(iter(masks.values()))) if masks else self._nothing(batch)
        if len(drawn) == 1:
            return masks[drawn[0]]
        return torch.stack([masks[who][:, k] for k, who in enumerate(drawn)], dim=1)

    def _nothing(self, batch: Mapping[str, Any]) -> Tensor:
        images: Tensor = batch["image"]
        return images.new_zeros(len(images), len(self.run.store.classes), *images.shape[-2:])

    def _prompted(self, records: Sequence[Record], batch: Mapping[str, Any]) -> Tensor:
        """Return (B, K, S, S) of the teacher's answers to the recorded prompts."""
        images: Tensor = batch["image"]
        prompts = Prompts.from_records([record["prompts"] for record in records]).to(self.device)
        shape, size = (len(images), len(self.run.store.classes)), (images.shape[-2], images.shape[-1])
        if not len(prompts) or self.teacher is None:
            return images.new_zeros(*shape, *size)
        answer = self.teacher.decode(self.teacher.encode(teacher_images(batch)), prompts, size)
        mask: Tensor = united(answer, prompts, shape, self.run.exclusive) * (batch["weight"] > 0)
        return mask

    def _asked_again(self, records: Sequence[Record], batch: Mapping[str, Any]) -> PseudoLabel:
        """Return the answer of the labeler, asked with the student that the records name."""
        student = self._student_of(records[0])
        if records[0]["labeler"] == "self":
            return SelfLabeler(self.run.exclusive)(batch, student)
        if self.again is None:  # such records were set aside as not replayable
            raise DataError(f"{records[0]['id']}: no labeler to ask again")
        return self.again(batch, student)

    def _student_of(self, record: Record) -> StudentNetwork:
        """Return the student that a record names, which the labeler has taken up."""
        name = (record["student_sha256"], bool(record.get("tta", False)))
        if self._student is None or self._student[0] != name:
            network = Student.load(self.run.students[name[0]])[0].to(self.device).eval()
            student: StudentNetwork = TestTimeAverage(network) if name[1] else network
            self._student = (name, student)
            if self.again is not None:
                self.again.prepare(student)
        return self._student[1]

    def _compared(self, record: Record, mask: NDArray[np.bool_]) -> dict[str, Any]:
        try:
            stored = self.run.store.read(self.run.items[record["id"]])[0] > 0
        except DataError as error:
            return _row(record, DIFFERENT, None, str(error))
        if stored.shape != mask.shape:
            return _row(record, DIFFERENT, None, f"stored as {stored.shape}, made again as {mask.shape}")
        pixels = int((stored != mask).any(axis=0).sum())
        return _row(record, DIFFERENT if pixels else EQUAL, pixels, f"{pixels} pixels differ" if pixels else "")

    def _refuse_other_teacher(self, record: Record) -> None:
        if not record.get("teacher") or not _by_prompts(record):
            return
        name, sha256 = record["teacher"], record.get("teacher_sha256", "")
        decoder = record.get("decoder_sha256") or ""
        if self.teacher is None or (sha256, name) != (self.teacher.weights_sha256, self.teacher.name):
            got = "none" if self.teacher is None else f"'{self.teacher.name}' ({self.teacher.weights_sha256[:12]})"
            raise WeightsError(
                f"{record['id']}: expected the teacher that labelled it, '{name}' (weights' sha256 {sha256[:12]}), got "
                f"{got}. Give the --teacher_weights and the teacher's overlay of that run"
            )
        if decoder != self.teacher.decoder_sha256:
            raise WeightsError(
                f"{record['id']}: expected the decoder that labelled it (sha256 {decoder[:12] or 'as it came'}), got "
                f"{self.teacher.decoder_sha256[:12] or 'as it came'}. Give the --model_dir of the run that fitted it"
            )

    def _write(self, table: pd.DataFrame) -> None:
        """Write what was found, then complain of what differs."""
        write_table(self.folder / "replay.csv", table)
        decided = self.decisions(self.folder) if self.decisions is not None else None
        counts = _counts(table)
        reasons = dict(Counter(table.loc[table["outcome"] == NOT_REPLAYABLE, "reason"]))
        metrics = {"dataset": self.run.name, "n_labels": len(table), **counts, "reasons": reasons}
        if decided is not None:
            metrics["decisions"] = {"n": len(decided), **_counts(decided)}
        write_metrics(self.folder / "metrics.json", {**metrics, **cache_metrics(self.teacher)})
        logger.info("replayed %d labels: %s", len(table), ", ".join(f"{n} {k}" for k, n in counts.items()))
        for reason, count in reasons.items():
            logger.warning("%d labels were not replayed: %s", count, reason)
        odd = table[table["outcome"] == DIFFERENT]
        if len(odd) and self.strict:
            raise DataError(
                f"{odd['id'].iloc[0]}: the label came out otherwise ({odd['reason'].iloc[0]}), the first of {len(odd)} "
                "listed in replay.csv. Its image or its mask was changed, or the run was made on another machine, or "
                "with another embedding_cache (null keeps more digits) or batch_size; --strict false only counts"
            )
        changed = table[:0] if decided is None else decided[decided["outcome"] == DIFFERENT]
        if len(changed) and self.strict:
            raise DataError(
                f"{changed['id'].iloc[0]}: what a reviewer decided came out otherwise ({changed['reason'].iloc[0]}), "
                f"the first of {len(changed)} listed in {DECISIONS_TABLE}; --strict false only counts"
            )


def _counts(table: pd.DataFrame) -> dict[str, int]:
    return {name.replace(" ", "_"): int((table["outcome"] == name).sum()) for name in OUTCOMES}


def _drawn_by(record: Record) -> list[DrawnBy]:
    """Return who drew each class; the labeler all of them where the record does not say."""
    return [DrawnBy(who) for who in str(record.get("drawn_by") or DrawnBy.LABELER).split(",")]


def _by_prompts(record: Record) -> bool:
    """Whether the labeler's part can be asked again by the prompts that are on record."""
    return record.get("labeler") == "prompted" and not _by_mask(record)


def _by_mask(record: Record) -> str:
    return ", asked by mask" if any(prompt.get("mask") for prompt in record.get("prompts", ())) else ""


def _needs_student(record: Record) -> bool:
    return not _by_prompts(record) or bool({DrawnBy.STUDENT, DrawnBy.BLEND} & set(_drawn_by(record)))


def _form(record: Record) -> tuple[Any, ...]:
    """Return what records must share to be asked together."""
    keys = sorted({key for prompt in record["prompts"] for key in prompt} & {"box", "points"})
    student = (record.get("student_sha256"), record.get("tta")) if _needs_student(record) else ()
    sizes = (record["view_size"], record.get("teacher_size") or 0)
    return (*sizes, record.get("labeler"), _drawn_by(record), keys if _by_prompts(record) else [], student)


def _row(record: Record, outcome: str, pixels: int | None, reason: str) -> dict[str, Any]:
    return {"id": record["id"], "outcome": outcome, "pixels": pixels, "reason": reason}
