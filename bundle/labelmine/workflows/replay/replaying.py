"""The workflow of ``configs/replay.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from labelmine.exchange.decisions import DECISIONS_FILE
from labelmine.labelers import Labeler
from labelmine.labelers.fitted import kept_decoder
from labelmine.prediction import student_folder
from labelmine.review import REVIEW_FOLDER, Corrector
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import CacheKnobs, Count, ImageKnobs, RunKnobs
from labelmine.teachers import Teacher, build_cached_teacher
from labelmine.teachers.fitted import load_fitted
from labelmine.workflows.replay.decisions import DecisionReplay
from labelmine.workflows.replay.recorded_run import RecordedRun, open_run
from labelmine.workflows.replay.replay import Replay


class ReplayKnobs(RunKnobs, ImageKnobs, CacheKnobs):
    """The knobs of ``configs/replay.yaml``."""

    workflow: ClassVar[str] = "replay"

    run_dir: str
    ids: list[str] | str | None
    strict: bool
    model_dir: str | None
    exclusive: bool | None
    batch_size: Count


class Replaying:
    """Make the labels of a run again, and compare.

    Args:
        knobs: Of the workflow.
        teacher: Of the run; None: it had none.
        again: The run's labeler, for labels that prompts alone do not tell.
    """

    def __init__(self, knobs: ReplayKnobs, teacher: Teacher | None, again: Labeler | None = None) -> None:
        """Open the run."""
        run = open_run(
            knobs.run_dir,
            knobs.dataset_dir,
            knobs.model_dir,
            knobs.window,
            knobs.slice_axis,
            knobs.exclusive,
            knobs.mask_pattern,
        )
        cached = build_cached_teacher(teacher, knobs.embedding_cache, knobs.cache_gb) if teacher else None
        decoder = kept_decoder(student_folder(knobs.model_dir) if knobs.model_dir else knobs.run_dir)
        if cached is not None and decoder is not None:
            cached = load_fitted(cached, decoder)
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow)
        self._replay = Replay(
            run,
            cached,
            knobs.output_dir,
            ids=knobs.ids,
            again=again,
            decisions=_decisions(run, knobs, cached),
            strict=knobs.strict,
            batch_size=knobs.batch_size,
            device=knobs.device,
        )

    def replay(self) -> None:
        """Replay all labels, or those that were named."""
        self.folder.stage("write", self._replay)


def _decisions(run: RecordedRun, knobs: ReplayKnobs, teacher: Teacher | None) -> DecisionReplay | None:
    """Return what replays the decisions of the run's review; None where there was none."""
    folder = Path(knobs.run_dir).expanduser() / REVIEW_FOLDER
    if not (folder / DECISIONS_FILE).is_file():
        return None
    return DecisionReplay(run, folder, Corrector(teacher, run, knobs.device) if teacher else None, knobs.ids)
