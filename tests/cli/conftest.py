"""A command line whose runs are recorded instead of made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labelmine.cli import main


@dataclass
class Ended:
    """How a command line ended: its status, what it wrote, and what it would have run."""

    status: int
    out: str
    err: str
    files: list[str] = field(default_factory=list)
    overrides: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def labelmine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``labelmine("mine", "DIR", "--cpu")``: names of the configs, without ``.yaml``, and overrides it would run."""

    def run(*args: str) -> Ended:
        seen: dict[str, Any] = {}

        def record(files: Sequence[Path], overrides: Mapping[str, Any]) -> None:
            seen.update(files=[file.stem for file in files], overrides=dict(overrides))

        monkeypatch.setattr("labelmine.cli.workflow_command.run_configs", record)
        with pytest.raises(SystemExit) as caught:
            main(args)
        written = capsys.readouterr()
        return Ended(int(caught.value.code or 0), written.out, written.err, **seen)

    return run
