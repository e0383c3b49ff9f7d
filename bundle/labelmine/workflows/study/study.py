"""``configs/study.yaml``: does mining help on these images, with so few masks? The grid and its cells."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from monai.bundle import ConfigParser

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError, LabelmineError
from labelmine.evaluation import write_table
from labelmine.run.files import ENCODER_FILE, GENERATOR_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.words import literal
from labelmine.studies.grid import PRETRAINING, SUPERVISED, Cell, Method, build_grid, read_methods, with_needs
from labelmine.studies.runner import CellWork, run_cells
from labelmine.workflows.study.cell import CELL_FILE, ERROR_FILE, CellJob, run_cell
from labelmine.workflows.study.definitions import refuse_changed_methods
from labelmine.workflows.study.images import StudyImages
from labelmine.workflows.study.knobs import StudyKnobs

logger = logging.getLogger(__name__)

PREPARE_ONLY = -1
CELLS_FILE, CACHE_FOLDER = "cells.csv", "embeddings"
#: Knobs that all students of a study share.
OF_TRAINING = {
    "batch_size",
    "max_epochs",
    "steps_per_epoch",
    "learning_rate",
    "lr_schedule",
    "keep_epoch",
    "teacher_weights",
}


def study_grid(
    catalogue: Mapping[str, Mapping[str, Any]],
    methods: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
    simclr: bool = False,
) -> list[Cell]:
    """Return the cells of a study by the knobs of ``study.yaml``; see ``read_methods`` and ``build_grid``."""
    chosen = read_methods(catalogue, methods)
    supervised = read_methods(catalogue, [SUPERVISED])[0]
    pretraining = Method(key=PRETRAINING, title="SimCLR", config="pretrain_simclr") if simclr else None
    return build_grid(chosen, fractions, seeds, supervised, pretraining)


class Study:
    """Run the cells of a grid over one image set with one fixed test set.

    Finished cells are never run again. Cells with the same fraction and seed share the supervised student, and all
    share the teacher's embeddings.

    Args:
        knobs: Of the workflow.

    Raises:
        ConfigError: A knob that no method's workflow has, no ``steps_per_epoch``, or finished cells of a method that
            was another then.
    """

    def __init__(self, knobs: StudyKnobs) -> None:
        """Check the knobs before anything runs."""
        self.given = knobs
        self.run = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow, shared=True)
        self.images = StudyImages(knobs)
        self.cells = study_grid(knobs.catalogue, knobs.methods, knobs.fractions, knobs.seeds, knobs.simclr)
        self.overlays = tuple(knobs.overlays)
        encoder = knobs.model_dump(include={"encoder", "encoder_weights", "image_size"})
        self.knobs = {**encoder, **knobs.model_dump(include=OF_TRAINING), **knobs.knobs}
        self.pretraining_knobs = {**encoder, **knobs.simclr_knobs}
        self._refuse_unknown_knobs()
        if not self.knobs.get("steps_per_epoch"):
            raise ConfigError(
                "steps_per_epoch: a study compares students of equally many steps; give a number of batches."
            )
        refuse_changed_methods(self.run.path, self.cells)

    def prepare(self) -> None:
        """Check the images, write the splits and the numbered cells; processes that start together take turns."""
        with FileLock(self.run.path / "prepare.lock"):
            fractions, seeds = ({getattr(cell, name) for cell in self.cells} for name in ("fraction", "seed"))
            self.images.write_splits(sorted(fractions), sorted(seeds))
            rows = [(n, c.method.key, c.fraction, c.seed) for n, c in enumerate(self.cells)]
            write_table(self.run.path / CELLS_FILE, pd.DataFrame(rows, columns=["cell", "method", "fraction", "seed"]))

    def __call__(self, cell: int | None = None) -> dict[Cell, str]:
        """Run what is not finished; ``prepare`` comes first.

        Args:
            cell: Number of a cell in ``cells.csv``: run it alone, with what it needs; ``PREPARE_ONLY``: none.

        Returns:
            Failed cells with the reason.

        Raises:
            ConfigError: No cell of that number.
            LabelmineError: The cell that was asked for, or one that it needs, failed.
        """
        if cell == PREPARE_ONLY:
            logger.info("prepared: %d cells, numbered in %s", len(self.cells), CELLS_FILE)
            return {}
        if cell is not None and not 0 <= cell < len(self.cells):
            raise ConfigError(f"cell: expected a number from 0 to {len(self.cells) - 1}, see {CELLS_FILE}; got {cell}")
        chosen = self.cells if cell is None else list(with_needs(self.cells[cell]))
        work = CellWork(
            target=run_cell,
            job=self.job,
            finished=self.finished,
            error=self.error,
            preload=["labelmine.workflows.study.cell", "labelmine.workflows.mine", "labelmine.workflows.train"],
        )
        failures = run_cells([c for c in chosen if self.applies(c)], work, self.given.workers)
        if cell is not None and failures:  # a job array must see that its job failed; else the page names the cells
            raise LabelmineError("; ".join(f"{lost.name}: {reason}" for lost, reason in failures.items()))
        return failures

    def folder(self, cell: Cell) -> Path:
        """Return the cell's folder."""
        return self.run.path / cell.folder

    def finished(self, cell: Cell) -> bool:
        """Whether a cell has been run."""
        return (self.folder(cell) / CELL_FILE).is_file()

    def applies(self, cell: Cell) -> bool:
        """Whether there is something to mine: with all gold in use, a set without unlabelled images leaves nothing."""
        return not cell.method.mines or bool(self._unlabeled(cell))

    def error(self, cell: Cell) -> str:
        """Return why a cell failed."""
        path = self.folder(cell) / ERROR_FILE
        reason = path.read_text(encoding="utf-8") if path.is_file() else "its process was killed (out of memory?)"
        return f"{reason}; more in {cell.folder}/log.txt"

    def job(self, cell: Cell, worker: int = 0) -> CellJob:
        """Return what the cell's process has to do."""
        method = cell.method
        files = tuple(self._config_files(method))
        first = next((c for c in cell.needs if c.method.key == SUPERVISED), None)
        supervised = first if method.starts_supervised and not self._trains_otherwise(method) else None
        return CellJob(
            folder=self.folder(cell),
            config=method.config,
            config_files=files,
            knobs=self._knobs(cell, files),
            facts={
                "method": method.key,
                "definition": cell.definition,
                "fraction": cell.fraction,
                "seed": cell.seed,
            },
            supervised=self.folder(supervised) if supervised else None,
            generator=self._maker(cell),
            external=self.images.external,
            threads=self.given.threads,
            gpu=self.given.gpus[worker % len(self.given.gpus)] if self.given.gpus else None,
        )

    def _maker(self, cell: Cell) -> Path | None:
        """Return the folder of the cell whose generator this one takes."""
        return next((self.folder(c) for c in cell.needs if c.method == cell.method.generator_of), None)

    def _trains_otherwise(self, method: Method) -> bool:
        """Whether the first student of a method is another than the one that cells share."""
        train = _declared(tuple(self._config_files(Method(key=SUPERVISED, title="", config="train"))))
        return bool(train & set(method.knobs))

    def _unlabeled(self, cell: Cell) -> list[str]:
        split = json.loads(self.images.split_file(cell.fraction, cell.seed).read_text(encoding="utf-8"))
        unlabeled: list[str] = split["unlabeled"]
        return unlabeled

    def _knobs(self, cell: Cell, files: Sequence[str]) -> dict[str, Any]:
        """Return the knobs of a cell that its workflow has; None stands for the workflow's default."""
        shared = self.knobs if cell.method.config != "pretrain_simclr" else self.pretraining_knobs
        encoder = next((c for c in cell.needs if c.method.config == "pretrain_simclr"), None)
        knobs = {
            **shared,
            **cell.method.knobs,
            **self.images.reading,
            "mask_pattern": literal(self.images.mask_pattern) if self.images.mask_pattern else None,
            "dataset_dir": literal(self.images.source),
            "split_file": literal(str(self.images.split_file(cell.fraction, cell.seed))),
            "seed": cell.seed,
            "device": self.given.device,
            "output_dir": literal(str(self.folder(cell))),
            "embedding_cache": literal(str(self.run.path / CACHE_FOLDER)),
            "pretrained": literal(str(self.folder(encoder) / ENCODER_FILE)) if encoder else None,
        }
        if maker := self._maker(cell):
            knobs["generator_file"] = literal(str(maker / "generator" / GENERATOR_FILE))
        known = _declared(files)
        return {key: value for key, value in knobs.items() if value is not None and key in known}

    def _config_files(self, method: Method) -> Iterator[str]:
        overlays = () if method.config == "pretrain_simclr" else self.overlays
        for name in (method.config, *overlays, *method.overlays):
            path = (
                Path(name) if name.endswith((".yaml", ".yml", ".json")) else bundle_root() / "configs" / f"{name}.yaml"
            )
            if not path.is_file():
                raise ConfigError(f"overlay '{name}': no such config of the bundle, and no such file")
            yield str(path)

    def _refuse_unknown_knobs(self) -> None:
        methods = {cell.method.key: cell.method for cell in self.cells if cell.method.config != "pretrain_simclr"}
        known = {key: _declared(tuple(self._config_files(method))) for key, method in methods.items()}
        for key, method in methods.items():
            if odd := set(method.knobs) - known[key]:
                raise ConfigError(f"method '{key}': its workflow has no knob {', '.join(sorted(odd))}")
        mining = _declared(tuple(self._config_files(Method(key="mine", title="mine"))))
        if odd := set(self.knobs) - mining.union(*known.values()):
            raise ConfigError(f"knobs: neither mine.yaml nor a method's overlay has a knob {', '.join(sorted(odd))}")


def _declared(files: Sequence[str]) -> set[str]:
    return {key.removeprefix("+") for file in files for key in ConfigParser.load_config_file(file)}
