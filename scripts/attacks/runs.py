"""Workflows small enough to be run a hundred times, as a person runs them, and what they end with."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from labelmine.cli.main import main
from labelmine.data import write_phantom_set

# Forked from here, where torch and MONAI are imported already, a run needs no half minute to begin.
FORK = multiprocessing.get_context("fork")
#: Differ from run to run by design: times, logs, locks, and what says in which order things came.
TIMED = (
    "seconds.json",
    "log.txt",
    "run.log",
    "events.out",
    ".lock",
    "lock",
    "checksums",
    "checkpoint.pt",
    "cell.json",
    ".partial",
)
#: A study's page, with the times of its cells.
PAGES = ("index.html", "results.md")
STUDENT = ("--image_size 64 --batch_size 4 --max_epochs 2 --steps_per_epoch 2 --encoder mobilenet_v2 "
           "--encoder_weights null --device cpu")  # fmt: skip
TEACHER = "--teacher_weights compact"
SPLIT = "--val_fraction 0.2 --test_fraction 0.2"
MINE = f"mine {{images}} --labeled_fraction 0.5 {SPLIT} --folds 2 --fold_epochs 1 --fit_steps 4 {STUDENT} {TEACHER}"
#: Command lines; ``{images}`` is a folder of images with masks, ``{model}`` a finished run of ``mine``.
WORKFLOWS: dict[str, str] = {
    "mine_one_time": MINE,
    "mine_continuous": f"{MINE} --schedule continuous --relabel_every 2 --ema_decay 0.9",
    "train": f"train {{images}} {SPLIT} {STUDENT}",
    "label": f"label {{images}} --model_dir {{model}} --device cpu --batch_size 2 {TEACHER}",
    "inference": f"predict {{images}} --model_dir {{model}} --refine true --device cpu --batch_size 2 {TEACHER}",
    "embed": f"embed {{images}} --image_size 64 --device cpu --batch_size 2 {TEACHER}",
    "synthesize": f"synthesize {{images}} --val_fraction 0.06 --test_fraction 0.06 --generator_size 16 "
    "--channels [32,32] --attention [false,true] --generator_epochs 2 --generator_steps 3 --generator_batch_size 4 "
    f"--count 8 --sampling_steps 2 --min_agreement 0 --copy_quantile 0 --opening 0 {STUDENT} {TEACHER}",
    "pretrain_simclr": f"pretrain-simclr {{images}} {SPLIT} --image_size 64 --batch_size 4 "
    "--max_epochs 3 --steps_per_epoch 3 --encoder mobilenet_v2 --device cpu",
    "train_teacher": "train-teacher {images} --image_size 64 --batch_size 2 --max_epochs 3 --steps_per_epoch 2 "
    "--bfloat16 false --device cpu",
    "study": "study {images} --methods [supervised,one_time] --fractions [0.5] --seeds [0] --threads 1 --image_size 64 "
    "--batch_size 4 --max_epochs 1 --steps_per_epoch 2 --encoder mobilenet_v2 --device cpu --teacher_weights compact "
    "--knobs {{folds: 0, fit_steps: 0}}",
}


@dataclass(frozen=True)
class Place:
    """Where runs find what they need.

    Attributes:
        folder: Of everything.
        values: Of the command lines' places.
        environment: Of their processes, besides what is there.
    """

    folder: Path
    values: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def arguments(self, workflow: str, output: Path, further: Sequence[str] = ()) -> list[str]:
        """Return the command line of a workflow, without the program's name."""
        words = WORKFLOWS[workflow].replace("{{", "\0").replace("}}", "\1").split(" --")
        lines = [words[0].split(" "), *([f"--{word.partition(' ')[0]}", word.partition(" ")[2]] for word in words[1:])]
        text = [part.replace("\0", "{").replace("\1", "}") for line in lines for part in line]
        for name, value in self.values.items():
            text = [part.replace(f"{{{name}}}", value) for part in text]
        return [*text, "--output_dir", str(output), *further]


def new_place(folder: Path, images: int = 18) -> Place:
    """Write images, and a finished run for those who take a student from one."""
    write_phantom_set(folder / "images", images, 0, 0, size=64)
    (folder / "images" / "dataset.csv").unlink()
    place = Place(folder, {"images": str(folder / "images"), "model": str(folder / "model")})
    ended = ended_run(place, place.arguments("mine_one_time", folder / "model"), folder / "cache")
    if ended.status != 0:
        raise SystemExit(f"the undisturbed run failed: {ended.said[-2000:]}")
    return place


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: Exit status; negative: killed by that signal.
        said: All that it wrote to the terminal.
        stopped: Whether it was still running when it was to be stopped.
    """

    status: int
    said: str
    stopped: bool = False

    @property
    def last(self) -> str:
        """The last line."""
        lines = self.said.strip().splitlines()
        return lines[-1] if lines else ""


def ended_run(
    place: Place,
    arguments: Sequence[str],
    cache: Path | None = None,
    stop: signal.Signals | None = None,
    after: float | None = None,
    environment: Mapping[str, str] | None = None,
    before: Any = None,
) -> Ended:
    """Run ``labelmine`` in a process of its own.

    Args:
        place: See the class.
        arguments: Of the command.
        cache: Folder of embeddings; None: that of the environment.
        stop: Signal that is sent to it.
        after: Seconds after which it is sent.
        environment: Further variables.
        before: Called in the process, before the command.
    """
    log = place.folder / f"log_{os.getpid()}_{next(_LOGS)}.txt"
    variables = {**place.environment, **(environment or {})}
    if cache is not None:
        variables["LABELMINE_CACHE_DIR"] = str(cache)
    process = FORK.Process(target=_run, args=(list(arguments), log, variables, before))
    process.start()
    process.join(after)
    stopped = process.is_alive()
    if stopped and process.pid is not None:
        os.kill(process.pid, stop or signal.SIGKILL)
    process.join(60)
    if process.is_alive():
        process.kill()
        process.join()
        return Ended(-signal.SIGKILL, f"{log.read_text(errors='replace')}\ndid not end within a minute", stopped)
    return Ended(process.exitcode or 0, log.read_text(errors="replace"), stopped)


def outcome(output: Path) -> dict[str, str]:
    """Return the digests of all that must not depend on what came between, by file."""
    found = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        if not path.is_file() or path.name.startswith(TIMED) or name.startswith(("damaged/", "embeddings/")):
            continue
        if {"report", "tensorboard", *PAGES} & {*path.parts} or path.name.startswith(".writing-"):
            continue
        content = _content(path)
        if path.name == "config.yaml":  # a study's cells name its folder
            content = content.replace(str(output).encode(), b"")
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Name the files that differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _content(path: Path) -> bytes:
    """The bytes of a file, without its times and without the order in which things came."""
    if path.name == "history.csv":
        return "\n".join(line.rsplit(",", 1)[0] for line in path.read_text().splitlines()).encode()
    if path.name == "results.csv":
        return pd.read_csv(path).drop(columns=list(_OF_THE_MACHINE), errors="ignore").to_csv().encode()
    if path.name.startswith("manifest") and path.suffix == ".jsonl":
        return b"\n".join(sorted(set(path.read_bytes().splitlines())))
    if path.name == "metrics.json":
        figures = json.loads(path.read_text())
        return json.dumps({k: v for k, v in figures.items() if k not in _OF_THE_MACHINE}, sort_keys=True).encode()
    return path.read_bytes()


_LOGS = itertools.count()
_OF_THE_MACHINE = {"seconds", "seconds_per_epoch", "embedding_cache", "images_per_second", "peak_memory_mb"}


def _run(arguments: list[str], log: Path, environment: Mapping[str, str], before: Any) -> None:
    handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore it
    if before is not None:
        before()
    main(arguments)
