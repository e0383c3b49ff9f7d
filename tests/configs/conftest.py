"""Running configs in-process, as small as they go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

from labelmine.bundle import bundle_root
from labelmine.data import image_set
from labelmine.data.image_set import mining_phantoms
from labelmine.errors import LabelmineError
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.workflows.doctor import examination
from makers import metrics_of


@dataclass(frozen=True)
class Run:
    """A finished run and what it was started with."""

    folder: Path
    knobs: dict[str, Any]

    @property
    def metrics(self) -> dict[str, Any]:
        return metrics_of(self.folder)


def few_phantoms(run: Path, seed: int = 0, *_: int) -> Path:
    """Write a small phantom set in place of the demonstration's: 4 gold, 6 validate, 20 test, 50 unlabelled."""
    return mining_phantoms(run, seed, 80, 160)


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Knobs that make a training last seconds."""
    return {
        "encoder": "mobilenet_v2", "image_size": 64, "batch_size": 4, "max_epochs": 2, "steps_per_epoch": 2,
        "learning_rate": 1e-3, "device": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="session")
def quick(small: dict[str, Any]) -> dict[str, Any]:
    """Knobs for a training of one step."""
    return {**small, "max_epochs": 1, "steps_per_epoch": 1}


@pytest.fixture(scope="session")
def config_files() -> Callable[..., list[str]]:
    """Paths of configs by name."""
    return lambda *names: [str(bundle_root() / "configs" / f"{name}.yaml") for name in names]


@pytest.fixture(scope="session")
def run_config(config_files: Callable[..., list[str]]) -> Callable[..., None]:
    """Run configs as the command line does, without letting ``logging.conf`` take pytest's log handlers away."""

    def run(*names: str, **knobs: Any) -> None:
        if names[0] == "mine":
            for name in ("folds", "fit_steps"):  # tests of their own ask for them
                knobs.setdefault(name, 0)
        with pytest.MonkeyPatch.context() as patch:
            if names[0] != "synthesize":  # which needs as much gold as the demonstration has
                for module in (image_set, examination):
                    patch.setattr(module, "mining_phantoms", few_phantoms)
            monai.bundle.run(config_file=config_files(*names), logging_file=False, **knobs)

    return run


@pytest.fixture(scope="session")
def refused() -> Callable[..., Any]:
    """``refused(kind, message)`` expects an error of labelmine's somewhere in the chain that MONAI makes of it."""

    @contextmanager
    def expect(kind: type[LabelmineError], message: str) -> Iterator[None]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (the chain below is looked at)
            yield
        error: BaseException | None = caught.value
        while error is not None and not isinstance(error, kind):
            error = error.__cause__
        assert error is not None, f"expected {kind.__name__}, got {caught.value!r}"
        assert re.search(message, str(error), re.DOTALL), str(error)

    return expect


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of a compact teacher that has learnt nothing: quick, and independent of what ships."""
    torch.manual_seed(0)
    return str(save_compact_teacher(CompactTeacher(64), tmp_path_factory.mktemp("teacher") / "random.safetensors"))


@pytest.fixture(scope="session")
def mined(
    tmp_path_factory: pytest.TempPathFactory, teacher_file: str, small: dict[str, Any], run_config: Callable[..., None]
) -> Run:
    """One run of ``mine.yaml`` on phantoms that many tests look at; none may write into it."""
    folder = tmp_path_factory.mktemp("mined")
    knobs = {**small, "teacher_weights": teacher_file, "min_score": 0.0, "gate": False, "output_dir": str(folder)}
    run_config("mine", **knobs)
    return Run(folder, knobs)
