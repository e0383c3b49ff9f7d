"""The end of ``configs/study.yaml``: all finished cells become tables and one page."""

from __future__ import annotations

import json
import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from labelmine.bundle import bundle_root
from labelmine.data import LoadItem
from labelmine.errors import ConfigError
from labelmine.evaluation import Case
from labelmine.evaluation.redaction import without_folders
from labelmine.prediction import Predictor, gold_of
from labelmine.run.files import BEST_FILE
from labelmine.studies import StudyResults, write_study
from labelmine.studies.grid import EXAMINED, SUPERVISED, Cell
from labelmine.studies.results import TEST
from labelmine.teachers import build_compact_teacher, seen_images
from labelmine.workflows.study.cell import CELL_FILE, ERROR_FILE, examined_stage

if TYPE_CHECKING:
    from labelmine.workflows.study.study import Study

logger = logging.getLogger(__name__)

PACKAGES = ("labelmine", "monai", "torch", "segmentation-models-pytorch")
N_CASES = 4


class StudyPage:
    """Collect what cells left behind and write ``index.html``, ``results.csv`` and ``results.md``.

    Args:
        study: The study.
        baseline: Key of the method that the others are compared with.

    Raises:
        ConfigError: When ``baseline`` is not among the study's methods.
    """

    def __init__(self, study: Study, baseline: str = SUPERVISED) -> None:
        """Check and keep them."""
        self.study = study
        self.baseline = baseline
        known = dict.fromkeys(cell.method.key for cell in study.cells if cell.method.config in EXAMINED)
        if baseline not in known:
            raise ConfigError(f"baseline: expected one of {', '.join(known)}, got '{baseline}'; add it to methods")

    def __call__(self) -> None:
        """Write the page of the cells that are finished, and name the others."""
        cells = [c for c in self.study.cells if c.method.config in EXAMINED and self.study.applies(c)]
        finished = [cell for cell in cells if self.study.finished(cell)]
        others = [cell for cell in cells if not self.study.finished(cell)]
        failed = [cell for cell in others if (self.study.folder(cell) / ERROR_FILE).is_file()]
        tables = [table for cell in finished for table in self._tables(cell)]
        results = StudyResults(
            name=self.study.images.images.name,
            cells=pd.DataFrame([row for cell in finished for row in self._rows(cell)]),
            images=pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
            failures=[(cell.name, self.study.error(cell)) for cell in failed],
            missing=[cell.name for cell in others if cell not in failed],
            cases=self._cases(finished),
            commands=[str(without_folders(f"python -m monai.bundle {shlex.join(sys.argv[1:])}"))],
            environment=environment(self.study),
            notes=self._notes(finished),
            baseline=self.baseline,
        )
        page = write_study(results, self.study.run.path)
        logger.info("%d of %d cells; page: %s", len(finished), len(cells), page.name)

    def _facts(self, cell: Cell) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.study.folder(cell) / CELL_FILE).read_text(encoding="utf-8"))
        return facts

    def _tables(self, cell: Cell) -> list[pd.DataFrame]:
        """Return the per-image rows of a cell on its own test set and on external ones."""
        folder = self.study.folder(cell)
        files = {TEST: folder / f"test_{examined_stage(cell.method.config, folder)}.csv"}
        files |= {images.name: folder / f"external_{images.name}.csv" for images in self.study.images.external}
        place: dict[str, Any] = {"method": cell.method.key, "fraction": self._fraction(cell), "seed": cell.seed}
        ids = {"id": str, "group": str}
        return [
            pd.read_csv(path, dtype=ids).assign(test_set=name, **place)
            for name, path in files.items()
            if path.is_file()
        ]

    def _rows(self, cell: Cell) -> list[dict[str, Any]]:
        facts = self._facts(cell)
        copied = ("n_gold", "n_gold_val", "n_unlabeled", "steps", "seconds", "peak_memory_mb", "teacher_calls", "kept")
        row = {
            "method": cell.method.key,
            "title": cell.method.title,
            "fraction": self._fraction(cell),
            "seed": cell.seed,
        }
        row |= {key: facts.get(key) for key in copied} | {"folder": str(cell.folder)}
        return [{**row, "test_set": name} for name in (TEST, *(images.name for images in self.study.images.external))]

    def _fraction(self, cell: Cell) -> float:
        """Return the label budget as a fraction; counts become what they are of the gold that does not test."""
        if cell.fraction <= 1:
            return cell.fraction
        split = json.loads(self.study.images.split_file(cell.fraction, cell.seed).read_text(encoding="utf-8"))
        gold = {item["id"] for item in self.study.images.images.items if "label" in item} - set(split["test"])
        return cell.fraction / len(gold)

    def _cases(self, finished: Sequence[Cell]) -> list[Case]:
        """Return outlines at the scarcest fraction, from the image that the last method helps most to the least."""
        if not finished:
            return []
        first = min(finished, key=lambda cell: (self._fraction(cell), cell.seed))
        shown = [c for c in finished if (c.fraction, c.seed) == (first.fraction, first.seed)]
        tables = {c.method.key: self._tables(c)[0].set_index("id")["dice"] for c in shown}
        gain = (tables[shown[-1].method.key] - tables[shown[0].method.key]).sort_values(kind="stable")
        positions = dict.fromkeys(round(i * (len(gain) - 1) / (N_CASES - 1)) for i in range(N_CASES))
        images = self.study.images.images
        by_id = {item["id"]: item for item in images.items}
        items = [by_id[gain.index[position]] for position in reversed(positions)]
        masks: dict[str, dict[str, Any]] = {item["id"]: {} for item in items}
        for cell in shown:
            folder = self.study.folder(cell)
            predictor = Predictor.load(folder / examined_stage(cell.method.config, folder) / BEST_FILE)
            for item, mask in predictor.masks(items, images, desc=f"pictures of {cell.method.key}"):
                masks[item["id"]][cell.method.title] = mask
        load = LoadItem(images.classes, images.window, images.slice_axis)
        return [
            Case(
                id=item["id"],
                image=load(item)["image"].permute(1, 2, 0).numpy(),
                gold=gold_of(item, images),
                predictions=masks[item["id"]],
                dice={cell.method.title: float(tables[cell.method.key][item["id"]]) for cell in shown},
                caption=f"{first.fraction:g} of the gold, seed {first.seed}",
            )
            for item in items
        ]

    def _notes(self, finished: Sequence[Cell]) -> list[str]:
        """Return the cells' own warnings, each once, and what the teacher has seen of external sets."""
        notes = dict.fromkeys(line for cell in finished for line in self._facts(cell).get("warnings") or [])
        return [*notes, *self._seen_elsewhere()]

    def _seen_elsewhere(self) -> list[str]:
        """Say which external sets a compact teacher was trained on; what other teachers saw is not known."""
        shared = self.study.knobs.get("teacher_weights")
        mining = [cell.method for cell in self.study.cells if cell.method.mines]
        with_teacher = [m for m in mining if not any("teacher_" in o for o in (*self.study.overlays, *m.overlays))]
        names = {name for method in with_teacher if (name := method.knobs.get("teacher_weights", shared))}
        lines = []
        for teacher in map(build_compact_teacher, sorted(names) if self.study.images.external else ()):
            for images in self.study.images.external:
                if seen := seen_images(teacher, [item["image"] for item in images.items]):
                    lines.append(
                        f"The teacher '{teacher.name}' was trained on {len(seen)} images of the set {images.name}, "
                        "so what mined students reach there proves nothing. Use weights that never saw it, see "
                        "models/README.md."
                    )
        return lines


def environment(study: Study) -> dict[str, str]:
    """Return what a reader needs to judge and to repeat: versions, machine and git revision."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {platform.machine()}"
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": f"{device}; {study.given.workers} cells at a time, {study.given.threads} CPU threads each",
        "git revision": _revision(),
    }


def _revision() -> str:
    """Return the checkout's revision, marked where files differ from it; of an installed package nothing is known."""
    command = ["git", "-C", str(bundle_root()), "describe", "--always", "--dirty", "--abbrev=12", "--match="]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"
    return described.stdout.strip()
