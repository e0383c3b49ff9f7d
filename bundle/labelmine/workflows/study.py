"""``configs/study.yaml``: does mining help on these images, with so few masks? The grid and its cells."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from monai.bundle import ConfigParser

from labelmine.bundle import bundle_root
from labelmine.data import ImageSet, near_duplicates, read_image, write_phantom_set
from labelmine.data.budget import split_by_budget
from labelmine.data.split_file import save_split
from labelmine.errors import ConfigError
from labelmine.evaluation import write_table
from labelmine.studies.grid import PRETRAINING, SUPERVISED, Cell, Method, build_grid, read_methods, with_needs
from labelmine.studies.runner import run_cells
from labelmine.workflows.inference import find_images
from labelmine.workflows.pretraining import ENCODER_FILE_NAME
from labelmine.workflows.run_folder import RunFolder
from labelmine.workflows.study_cell import CELL_FILE, ERROR_FILE, CellJob, run_cell

logger = logging.getLogger(__name__)

PREPARE_ONLY = -1
CELLS_FILE, CACHE_FOLDER = "cells.csv", "embeddings"
N_PHANTOMS = 160


class StudyImages:
    """The images of a study, and the split of each label fraction and seed.

    Args:
        dataset_dir: What ``find_items`` takes; None: phantoms, written into ``output_dir/phantom``.
        output_dir: Folder of the study.
        test_fraction: See ``split_by_budget``.
        test_seed: See ``split_by_budget``.
        val_share: See ``split_by_budget``.
        external: Other image sets that students are examined on.
        classes: Class names and mask values; None: as the masks say.
        window: (centre, width) for deep images.
        slice_axis: Axis along which volumes are cut.
    """

    def __init__(
        self,
        dataset_dir: str | None,
        output_dir: str,
        test_fraction: float = 0.2,
        test_seed: int = 0,
        val_share: float = 0.2,
        external: Sequence[str] | str = (),
        classes: Any = None,
        window: tuple[float, float] | None = None,
        slice_axis: int = -1,
    ) -> None:
        """Keep the knobs; nothing is read yet.

        Raises:
            ConfigError: Two external sets of one name.
        """
        self.folder = Path(output_dir).expanduser()
        self.source = str(self.folder / "phantom") if dataset_dir is None else dataset_dir
        self.phantoms = dataset_dir is None
        self.drawing = {"test_fraction": test_fraction, "test_seed": test_seed, "val_share": val_share}
        self.reading = {"classes": classes, "window": window, "slice_axis": slice_axis}
        self.external_dirs = [external] if isinstance(external, str) else list(external)
        names = [Path(folder).stem for folder in self.external_dirs]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"external_dir: {', '.join(doubled)} is the name of two sets; rename one of the folders")

    @cached_property
    def images(self) -> ImageSet:
        """All usable images, without a split."""
        if self.phantoms:
            write_phantom_set(Path(self.source), N_PHANTOMS, 0, 0)
        return find_images(self.source, str(self.folder), **self.reading)

    @cached_property
    def external(self) -> tuple[ImageSet, ...]:
        """The external sets, checked."""
        found = []
        for folder in self.external_dirs:
            into = self.folder / "external" / Path(folder).stem
            into.mkdir(parents=True, exist_ok=True)
            found.append(find_images(folder, str(into), **self.reading))
        return tuple(found)

    def split_file(self, fraction: float, seed: int) -> Path:
        """Return where the split of a fraction and seed lies."""
        return self.folder / "splits" / f"{fraction:g}_seed_{seed}.json"

    def write_splits(self, fractions: Sequence[float], seeds: Sequence[int]) -> None:
        """Write the splits that are not there yet; near-duplicates are looked for once."""
        missing = [(f, s) for f in fractions for s in seeds if not self.split_file(f, s).is_file()]
        if not missing:
            return
        items = self.images.items
        pairs = near_duplicates(
            items, partial(read_image, window=self.images.window, slice_axis=self.images.slice_axis)
        )
        for fraction, seed in missing:
            split = split_by_budget(items, fraction, seed, duplicates=pairs, **self.drawing)  # type: ignore[arg-type]
            path = self.split_file(fraction, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_split(path, items, split, {**self.drawing, "budget": fraction, "seed": seed}, pairs)


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
        run: The study's folder.
        images: Its images.
        cells: The grid, see ``build_grid``.
        overlays: Overlays of every cell, by name or path.
        knobs: Knobs of every cell, by the names that the workflows have; a method's own come before them.
        pretraining_knobs: The same for ``pretrain_simclr.yaml``.
        device: Where cells train, ``cpu`` or ``cuda``.
        workers: Cells at a time.
        gpus: GPUs to share among the workers; empty: none is chosen for them.
        threads: CPU threads of a cell.

    Raises:
        ConfigError: A knob that no method's workflow has, or no ``steps_per_epoch``.
    """

    def __init__(
        self,
        run: RunFolder,
        images: StudyImages,
        cells: Sequence[Cell],
        overlays: Sequence[str] = (),
        knobs: Mapping[str, Any] | None = None,
        pretraining_knobs: Mapping[str, Any] | None = None,
        device: str = "cpu",
        workers: int = 1,
        gpus: Sequence[int] = (),
        threads: int = 1,
    ) -> None:
        """Check the knobs before anything runs."""
        self.run = run
        self.images = images
        self.cells = list(cells)
        self.overlays = tuple(overlays)
        self.knobs = dict(knobs or {})
        self.pretraining_knobs = dict(pretraining_knobs or {})
        self.device = device
        self.workers = workers
        self.gpus = list(gpus)
        self.threads = threads
        self._refuse_unknown_knobs()
        if not self.knobs.get("steps_per_epoch"):
            raise ConfigError(
                "steps_per_epoch: a study compares students of equally many steps; give a number of batches."
            )

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
        """
        if cell == PREPARE_ONLY:
            logger.info("prepared: %d cells, numbered in %s", len(self.cells), CELLS_FILE)
            return {}
        if cell is not None and not 0 <= cell < len(self.cells):
            raise ConfigError(f"cell: expected a number from 0 to {len(self.cells) - 1}, see {CELLS_FILE}; got {cell}")
        chosen = self.cells if cell is None else list(with_needs(self.cells[cell]))
        return run_cells(
            [c for c in chosen if self.applies(c)],
            run_cell,
            self.job,
            self.finished,
            self.error,
            self.workers,
            preload=["labelmine.workflows.study_cell", "labelmine.workflows"],
        )

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
        told = path.read_text(encoding="utf-8") if path.is_file() else "its process was killed (out of memory?)"
        return f"{told}; more in {cell.folder}/log.txt"

    def job(self, cell: Cell, worker: int = 0) -> CellJob:
        """Return what the cell's process has to do."""
        method = cell.method
        files = tuple(self._config_files(method))
        supervised = next((c for c in cell.needs if c.method.key == SUPERVISED), None) if method.mines else None
        return CellJob(
            folder=self.folder(cell),
            config=method.config,
            config_files=files,
            knobs=self._knobs(cell, files),
            facts={"method": method.key, "fraction": cell.fraction, "seed": cell.seed},
            supervised=self.folder(supervised) if supervised else None,
            external=self.images.external,
            threads=self.threads,
            gpu=self.gpus[worker % len(self.gpus)] if self.gpus else None,
        )

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
            "dataset_dir": self.images.source,
            "split_file": str(self.images.split_file(cell.fraction, cell.seed)),
            "seed": cell.seed,
            "device": self.device,
            "output_dir": str(self.folder(cell)),
            "embedding_cache": str(self.run.path / CACHE_FOLDER),
            "pretrained": str(self.folder(encoder) / ENCODER_FILE_NAME) if encoder else None,
        }
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
