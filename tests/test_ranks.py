"""Ranks without others; two that share work are in ``configs/test_multi_gpu_config.py``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.data import DataLoader, Dataset

from labelmine.errors import ConfigError
from labelmine.ranks import gathered, join_ranks, on_first_rank, own_batches, refuse_unjoined_ranks
from labelmine.run.folder import RunFolder


def test_one_rank_needs_nobody() -> None:
    loader = DataLoader(Dataset([{"x": 1}, {"x": 2}]), batch_size=1)
    assert join_ranks("gloo") == "cpu"
    assert gathered([1, 2]) == [[1, 2]]
    assert own_batches(loader) is loader
    assert on_first_rank(max)(3, 4) == 4


def test_unknown_backend() -> None:
    with pytest.raises(ConfigError, match=r"backend: expected nccl, gloo or null. Got: 'mpi'"):
        join_ranks("mpi")


def test_fewer_gpus_than_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "64")
    with pytest.raises(ConfigError, match=r"a GPU for each rank of this machine, found \d+\. .*--backend gloo"):
        join_ranks("nccl")


@pytest.mark.parametrize(
    "work",
    [
        refuse_unjoined_ranks,
        lambda: own_batches([]),
        on_first_rank(lambda: None),
        lambda: RunFolder("unused", {}, "mine").stage("data", lambda: None),
    ],
)
def test_ranks_that_have_not_joined_do_no_work(
    work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"torchrun started 2 ranks, but they work alone. Add configs/multi_gpu.yaml"):
        work()
