"""Starting several ranks as a user does: by torchrun, with gloo on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labelmine.bundle import bundle_root

Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def torchrun(tmp_path: Path) -> Torchrun:
    """Start two ranks: ``torchrun("-m", "monai.bundle", ...)``, or ``torchrun(text_of_a_program, argument, ...)``."""

    def run(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        if "\n" in words[0]:
            (tmp_path / "program.py").write_text(words[0])
            words[0] = str(tmp_path / "program.py")
        start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        done = subprocess.run(
            [*start, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            cwd=bundle_root(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert not check or done.returncode == 0, done.stderr[:9000]  # below the ranks' errors follow torchrun's own
        return done

    return run
