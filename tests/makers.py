"""Small makers and readers that tests of several rooms import: ``from makers import metrics_of``."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from monai.bundle import ConfigParser
from pydicom.data import get_testdata_file

from labelmine.bundle import bundle_root
from labelmine.losses import PromptableLoss
from labelmine.prompts import Prompts
from labelmine.run.knobs import Knobs
from labelmine.teachers import Teacher


class Killed(BaseException):
    """Stands for a kill at any moment: nothing catches it."""


class RunsCode:
    """What a pickle of runs code: loading it makes the folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def metrics_of(folder: Path) -> dict[str, Any]:
    """What a run wrote into ``metrics.json``."""
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def embedding_chunks(folder: Path) -> list[Path]:
    """Files of an embedding cache that hold embeddings."""
    return sorted(path for path in folder.glob("*/*") if path.name != "zarr.json")


def dicom_file(name: str) -> Path:
    """A file that ships with pydicom."""
    return Path(str(get_testdata_file(name, download=False)))


def loaded_script(name: str, folder: str = "scripts") -> ModuleType:
    """A module of ``scripts/`` or ``examples/``, which are no packages."""
    spec = importlib.util.spec_from_file_location(name, bundle_root() / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def knobs_of(*names: str, **overrides: Any) -> Any:
    """The knobs that configs give, by name of the workflow and its overlays, without running anything."""
    parser = ConfigParser()
    parser.read_config([str(bundle_root() / "configs" / f"{name}.yaml") for name in names])
    parser.update(overrides)
    kind = knobs_class(names[0])
    return kind.checked({name: parser.get_parsed_content(name) for name in kind.model_fields})


def knobs_class(workflow: str) -> type[Knobs]:
    """The class whose ``of_config`` a workflow's config names."""
    text = (bundle_root() / "configs" / f"{workflow}.yaml").read_text(encoding="utf-8")
    (target,) = re.findall(r"_target_: (\S+)\.of_config", text)
    module, kind = target.rsplit(".", 1)
    found: type[Knobs] = getattr(importlib.import_module(module), kind)
    return found


def learnt_a_little(teacher: Teacher, asked: Prompts, side: int = 64) -> Teacher:
    """Let a teacher's decoder take a few large steps towards full masks; nothing else may get a gradient."""
    assert teacher.decoder is not None
    weights = list(teacher.decoder.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(weights, 1e-3)
    images = torch.rand(int(asked.image_index.max()) + 1, 3, side, side, generator=torch.Generator().manual_seed(0))
    embeddings = teacher.encode(images)
    assert not embeddings.requires_grad
    for _ in range(3):
        answer = teacher.decode(embeddings, asked, (side, side))
        optimizer.zero_grad()
        PromptableLoss()(answer, torch.ones(len(asked), 1, side, side)).backward()
        reached = [p for p in weights if p.grad is not None and bool(p.grad.abs().sum() > 0)]
        optimizer.step()
        assert reached
    teacher.decoder.requires_grad_(False)
    return teacher
