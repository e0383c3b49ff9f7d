"""Fixtures and small makers that tests of every room share."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dicom_makers import write_dicom
from labelmine import progress
from labelmine.data.items import Item
from labelmine.data.phantom import phantom
from labelmine.deployment import StudentFacts, export_onnx, export_openvino
from labelmine.networks import Student
from labelmine.studies import StudyResults


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Images of 64 pixels gain nothing from threads, which wait for each other on a busy machine (minutes)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Embeddings of the tests stay out of the user's own cache."""
    folder = tmp_path_factory.mktemp("embeddings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELMINE_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real images beside the checkout; a test that needs it carries ``@pytest.mark.shared``."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real images (../shared/data beside the checkout) are not there")
    return folder


class Terminal(io.StringIO):
    """A terminal of endless height; ``lines`` is what a person sees on it."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        rows, row, column = [""], 0, 0
        text = self.getvalue().replace("\x1b[A", "\v")
        for sign in text:
            if sign == "\r":
                column = 0
            elif sign == "\n":
                row, column = row + 1, 0
                rows += [""] * (row == len(rows))
            elif sign == "\v":
                row -= 1
            else:
                rows[row] = rows[row].ljust(column)[:column] + sign + rows[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in rows]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Both output streams, as a terminal of 100 columns."""
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", "101")
    monkeypatch.setenv("LINES", "50")
    # Not `sys` itself, whose streams pytest sets anew before each test.
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stdout=screen, stderr=screen))
    return screen


@pytest.fixture
def make_items() -> Callable[..., list[Item]]:
    """Maker of items that name files nobody reads: ``make_items(5, labeled=3, groups=["a", "a", ...])``."""

    def make(count: int, labeled: int | None = None, groups: list[str] | None = None) -> list[Item]:
        items: list[Item] = []
        for number in range(count):
            name = f"image_{number:03d}"
            item: Item = {"id": name, "image": f"images/{name}.png", "group": groups[number] if groups else name}
            if labeled is None or number < labeled:
                item["label"] = f"masks/{name}.png"
            items.append(item)
        return items

    return make


@pytest.fixture
def phantom_folder(tmp_path: Path) -> Callable[..., Path]:
    """Maker of a folder with ``images/`` and ``masks/``: ``phantom_folder(12, labeled=10, size=48)``."""

    def make(count: int = 12, labeled: int | None = None, size: int = 48, name: str = "dataset") -> Path:
        root = tmp_path / name
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, mask = phantom(0, index, size)
            Image.fromarray(image).save(root / "images" / f"case_{index:02d}.png")
            if labeled is None or index < labeled:
                Image.fromarray(np.asarray(mask)).save(root / "masks" / f"case_{index:02d}.png")
        return root

    return make


STUDY_TITLES = {"supervised": "Supervised", "one_time": "Mined", "mean_teacher": "Mean teacher"}
Made = Callable[..., StudyResults]


def made_results(
    dice: Mapping[tuple[str, float], float],
    *,
    seeds: Iterable[int] = (0, 1, 2),
    seeds_of: Mapping[tuple[str, float], Iterable[int]] | None = None,
    test_sets: Iterable[str] = ("test",),
    n: int = 24,
    noise: float = 0.01,
    **changes: object,
) -> StudyResults:
    """Results whose mean Dice by (method, fraction) is near the given one; groups of two images."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.1, n)
    cells, images = [], []
    for (method, fraction), mean in dice.items():
        for seed in (seeds_of or {}).get((method, fraction), seeds):
            for test_set in test_sets:
                cell = {"method": method, "fraction": fraction, "seed": seed, "test_set": test_set}
                facts = {"n_gold": 80 * fraction, "n_gold_val": 20 * fraction, "n_unlabeled": 100 - 100 * fraction}
                costs = {"steps": 1500, "seconds": 100.0 + seed, "peak_memory_mb": 900 + seed}
                calls = {"teacher_calls": None if method == "supervised" else 200 + seed}
                folder = {"folder": f"cells/{method}"}
                cells.append({**cell, "title": STUDY_TITLES[method], **facts, **costs, **calls, **folder})
                values = np.clip(mean + image + rng.normal(0, noise, n), 0, 1)
                rows = {"id": [f"i{k:02d}" for k in range(n)], "group": [f"g{k // 2}" for k in range(n)]}
                rows |= {"dice": values, "iou": values / (2 - values), "gold_area": 0.05, "gold_empty": False}
                images.append(pd.DataFrame(rows).assign(**cell))
    tables = {"cells": pd.DataFrame(cells), "images": pd.concat(images, ignore_index=True)}
    return StudyResults(**({"name": "polyps", **tables} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_results() -> Made:
    return made_results


@pytest.fixture(scope="session")
def study(make_results: Made) -> StudyResults:
    """Mining helps at 10 %, not at 50 %; nothing is left to mine at 100 %."""
    dice = {("supervised", 0.1): 0.5, ("supervised", 0.5): 0.6, ("supervised", 1.0): 0.7}
    return make_results(dice | {("one_time", 0.1): 0.58, ("one_time", 0.5): 0.6, ("mean_teacher", 0.1): 0.4})


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Maker of a DICOM file: ``make_dicom(pixels, name="a.dcm", RescaleSlope=2, Rows=...)``."""

    def make(pixels: np.ndarray, name: str = "a.dcm", **options: object) -> Path:
        return write_dicom(tmp_path / name, np.asarray(pixels), **options)

    return make


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a student, as a run leaves it, with its exported files; none may write into it."""
    for module in ("onnx", "onnxruntime", "onnxscript", "openvino"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    student = Student(["object"], "mobilenet_v2").eval()
    with torch.no_grad():  # half of what it sees is an object
        bias = student.network.segmentation_head[0].bias
        bias -= student(torch.rand(1, 3, 64, 64)).median()
    student.save(folder / "model.safetensors", image_size=64)
    facts = StudentFacts.of_file(folder / "model.safetensors", "CC-BY-4.0")
    export_onnx(facts, folder / "onnx" / "model.onnx")
    export_openvino(facts, folder / "onnx" / "model.onnx", folder / "openvino" / "model.xml")
    return folder
