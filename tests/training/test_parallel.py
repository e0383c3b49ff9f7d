"""One rank alone; two that train one student are in ``configs/test_multi_gpu_config.py``."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import pytest
import torch
from torch import nn

from labelmine.training.parallel import MeanStatistics, agree_on_metrics, data_parallel


def test_one_rank_is_left_alone() -> None:
    network = nn.BatchNorm1d(2)
    assert data_parallel(network, torch.device("cpu")) is network
    engine = type("Engine", (), {"state": type("State", (), {"metrics": {"val_dice": 0.5}})})
    agree_on_metrics(engine)
    assert engine.state.metrics == {"val_dice": 0.5}
    attached: list[Any] = []
    trainer = type("Engine", (), {"add_event_handler": lambda *arguments: attached.append(arguments)})
    MeanStatistics(network).attach(trainer)
    assert not attached


def test_frozen_batch_normalisation_is_not_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.free = nn.BatchNorm2d(2), nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))

        def train(self, mode: bool = True) -> Half:
            super().train(mode)
            self.frozen.eval()
            return self

    network = Half()
    weight = network.free[1].weight
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    monkeypatch.setattr("labelmine.training.parallel.DistributedDataParallel", lambda network, **_: network)
    assert data_parallel(network, torch.device("cuda", 0)) is network
    assert isinstance(network.free[1], nn.SyncBatchNorm)
    assert network.free[1].weight is weight, "the optimizer knows the old one"
    assert type(network.frozen) is nn.BatchNorm2d
