"""One cell of a study, in a process of its own: a run of one of the workflows that train."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.bundle
import pandas as pd
import torch
from filelock import FileLock, Timeout

from labelmine.atomic import remove, write_whole
from labelmine.data import ImageSet
from labelmine.errors import DataError
from labelmine.evaluation import write_metrics, write_table
from labelmine.prediction import Predictor, evaluate
from labelmine.run.files import BEST_FILE, HISTORY_FILE
from labelmine.run.folder import read_settings
from labelmine.run.last_word import labelmine_cause
from labelmine.studies.grid import EXAMINED, SUPERVISED
from labelmine.studies.runner import BUSY

CELL_FILE, ERROR_FILE, LOG_FILE = "cell.json", "error.txt", "log.txt"


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """All that a cell's process needs to know.

    Attributes:
        folder: The cell's folder, which is the run's ``output_dir``.
        config: Workflow, one of ``EXAMINED`` or ``pretrain_simclr``.
        config_files: Its config and overlays.
        knobs: What is set in them.
        facts: What ``cell.json`` says of the cell besides.
        supervised: Folder of the cell whose supervised student this one starts with; None: none.
        generator: Folder of the cell whose generator this one takes; None: none.
        external: Other image sets that the student is examined on.
        threads: CPU threads.
        gpu: The GPU to use, as CUDA counts them; None: whatever the knobs say.
    """

    folder: Path
    config: str
    config_files: tuple[str, ...]
    knobs: Mapping[str, Any]
    facts: Mapping[str, Any]
    supervised: Path | None = None
    generator: Path | None = None
    external: tuple[ImageSet, ...] = ()
    threads: int = 1
    gpu: int | None = None


def run_cell(job: CellJob) -> None:
    """Run a cell and write ``cell.json``, last of all; an error goes into ``error.txt`` and ends with status 1."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.folder / "lock", timeout=0):
            if not (job.folder / CELL_FILE).is_file():
                _run(job)
    except Timeout:
        sys.exit(BUSY)


def _run(job: CellJob) -> None:
    _log_into(job.folder / LOG_FILE)
    if job.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(job.gpu)
    torch.set_num_threads(job.threads)
    (job.folder / ERROR_FILE).unlink(missing_ok=True)
    try:
        if job.supervised is not None:
            _take_over(job.supervised, job.folder)
        monai.bundle.run(config_file=list(job.config_files), logging_file=False, **job.knobs)
        _examine_elsewhere(job)
        write_metrics(job.folder / CELL_FILE, {**job.facts, **_costs(job)})
        _clear(job.folder)
    except BaseException as error:
        traceback.print_exc()
        write_whole(job.folder / ERROR_FILE, reason(error).encode(), told=False)  # it goes when the cell is tried again
        sys.exit(1)


def reason(error: BaseException) -> str:
    """Return an error in one line; labelmine's own, where one is beneath MONAI's."""
    shown = labelmine_cause(error) or error
    return f"{type(shown).__name__}: {str(shown).splitlines()[0] if str(shown) else 'no message'}"


def _log_into(path: Path) -> None:
    """Send all output of this process, its libraries' too, into a file."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr, force=True)
    logging.getLogger("ignite").setLevel(logging.WARNING)  # as configs/logging.conf does


def _take_over(supervised: Path, folder: Path) -> None:
    """Copy the shared supervised student, so that the run finds that stage done; a resumed cell has it already."""
    if not (folder / "supervised").is_dir():
        half = folder / "supervised.part"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(supervised / "supervised", half)
        half.rename(folder / "supervised")


def examined_stage(config: str, folder: Path) -> str:
    """Return the stage of a run whose student is examined: where nothing made was admitted, that on gold alone."""
    none_admitted = config == "synthesize" and not (folder / EXAMINED[config] / BEST_FILE).is_file()
    return SUPERVISED if none_admitted else EXAMINED[config]


def _examine_elsewhere(job: CellJob) -> None:
    """Write ``external_<set>.csv`` of the examined student for each external set."""
    if job.config not in EXAMINED:
        return
    student = job.folder / examined_stage(job.config, job.folder) / BEST_FILE
    for images in job.external:
        predictor = Predictor.load(student, job.knobs.get("device") or _device())
        if tuple(images.classes.names) != predictor.student.class_names:
            raise DataError(
                f"external set {images.name}: its classes are {', '.join(images.classes.names)}, the student's "
                f"{', '.join(predictor.student.class_names)}. Give --classes, or leave the set out"
            )
        write_table(job.folder / f"external_{images.name}.csv", evaluate(predictor, images.items, images, images.name))


def _costs(job: CellJob) -> dict[str, Any]:
    metrics = json.loads((job.folder / "metrics.json").read_text(encoding="utf-8"))
    shared = _shared_seconds(job.supervised, "supervised") + _shared_seconds(job.generator, "generator")
    spared = {"evaluate", "supervised"} if job.supervised else {"evaluate"}
    own = [value for stage, value in metrics["seconds"].items() if stage not in spared]
    cache = metrics.get("embedding_cache")
    copied = ("n_gold", "n_gold_val", "n_unlabeled", "kept", "pseudo_labels", "warnings")
    return {
        **{key: metrics.get(key) for key in copied},
        "steps": _steps(job),
        "seconds": round(shared + sum(own), 1),
        "teacher_calls": cache["hits"] + cache["misses"] if cache else None,
        **_peak_memory(),
    }


def _shared_seconds(folder: Path | None, stage: str) -> float:
    """Return what a stage took in the cell that it was taken over from."""
    if folder is None:
        return 0.0
    seconds = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seconds"]
    return float(seconds[stage])


def _steps(job: CellJob) -> int | None:
    """Optimizer steps of the examined student, those of the student that it was started from included."""
    if job.config not in EXAMINED:
        return None
    stages = {examined_stage(job.config, job.folder)}
    settings = read_settings(job.folder)
    if settings.get("start_from") == "supervised":
        stages.add("supervised")
    return sum(int(pd.read_csv(job.folder / stage / HISTORY_FILE)["step"].iloc[-1]) for stage in stages)


def _peak_memory() -> dict[str, float | None]:
    """Return the peak of this process in MB: resident memory, where the platform tells, and a GPU's."""
    peak = None
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
    gpu = round(torch.cuda.max_memory_allocated() / 1e6) if torch.cuda.is_available() else None
    return {"peak_memory_mb": peak, "peak_gpu_memory_mb": gpu}


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _clear(folder: Path) -> None:
    """Remove what only a run that goes on needs; what other cells take over, the supervised checkpoint, stays."""
    for path in folder.glob("*/*"):
        if path.name == "tensorboard":
            shutil.rmtree(path)
        elif path.name == "checkpoint.pt" and (path.parent.name != "supervised" or (folder / "mined").is_dir()):
            remove(path)
