"""``configs/multi_gpu.yaml`` over other configs, on two ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from labelmine.bundle import bundle_root

KNOBS = {
    "encoder": "mobilenet_v2", "image_size": 64, "batch_size": 2, "max_epochs": 2, "steps_per_epoch": 2,
    "learning_rate": 0.001, "min_score": 0.0, "labeled_fraction": 0.5,
}  # fmt: skip

# ``label``, in which the rank 1 dies as it is about to write its second label.
DYING = """
import os, signal, sys
import ignite.distributed as idist, monai.bundle
from labelmine.bundle import bundle_root
from labelmine.data import LabelStore

write, calls = LabelStore.write, []


def dying(*arguments, **named):
    calls.append(1)
    if idist.get_rank() == 1 and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments, **named)


LabelStore.write = dying
files = [str(bundle_root() / "configs" / f"{name}.yaml") for name in ("label", "multi_gpu")]
monai.bundle.run(
    config_file=files, logging_file=False, dataset_dir=sys.argv[1], output_dir=sys.argv[2], batch_size=1,
    embedding_cache=None,
)
"""


def masks(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "labels" / "masks").iterdir()}


def lines(folder: Path, name: str = "manifest.jsonl") -> list[str]:
    return sorted((folder / "labels" / name).read_text().splitlines())


@pytest.mark.slow
def test_mine_as_documented(torchrun: Any, phantom_folder: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = "['configs/mine.yaml','configs/multi_gpu.yaml']"
    knobs = [word for name, value in KNOBS.items() for word in (f"--{name}", value)]
    data = ["--dataset_dir", phantom_folder(16, size=64), "--output_dir", out]
    done = torchrun("-m", "monai.bundle", "run", "--config_file", files, *data, *knobs)

    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n_unlabeled"] == len(lines(out)) == len(masks(out)) > 0
    assert not list((out / "labels").glob("manifest.*.jsonl"))
    for stage in ("supervised", "mined"):
        files = sorted(path.name for path in (out / stage).iterdir())
        assert files == ["best.safetensors", "checkpoint.pt", "history.csv", "tensorboard"]
        assert len((out / stage / "history.csv").read_text().splitlines()) == 1 + KNOBS["max_epochs"]
    assert (out / "report" / "index.html").is_file()
    assert done.stdout.count("stage mined") == 1, "only the first rank speaks"


@pytest.mark.slow
def test_a_rank_that_dies_takes_nothing_along(torchrun: Any, phantom_folder: Any, tmp_path: Path) -> None:
    data, out, alone = phantom_folder(7, size=64), tmp_path / "out", tmp_path / "alone"
    assert torchrun(DYING, data, out, check=False).returncode != 0
    finished = lines(out, "manifest.1.jsonl")
    assert len(finished) == 1, "rank 1 has one label"

    config = str(bundle_root() / "configs" / "label.yaml")
    for folder in (out, alone):
        knobs = {"dataset_dir": str(data), "output_dir": str(folder), "batch_size": 1, "embedding_cache": None}
        monai.bundle.run(config_file=config, logging_file=False, **knobs)
    assert masks(out) == masks(alone)
    assert len(masks(out)) == 7
    assert lines(out) == lines(alone)
    assert set(finished) <= set(lines(out))
    assert not list((out / "labels").glob("manifest.*.jsonl"))
