"""The trainer that all trainings share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR

from labelmine.training import TrainerParts, equip, new_trainer


class PartlyAsked(nn.Module):
    """A network of which a part answers only when it is asked to, as a teacher's prompt encoder does of points."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.sometimes = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x: Tensor, all_of_it: bool) -> Tensor:
        answer: Tensor = self.always(x)
        return answer + self.sometimes(x) if all_of_it else answer


class AskInFirstEpoch:
    """Ask all of the network in the first epoch alone."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(
        self, batch: Mapping[str, Tensor], *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor, tuple[bool], dict[str, Any]]:
        return batch["image"], batch["label"], (self.epoch == 1,), {}


def trained(folder: Path, max_epochs: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    data = [{"image": torch.randn(4), "label": torch.randn(1)} for _ in range(8)]
    network = PartlyAsked()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    parts = TrainerParts(
        network=network,
        loader=DataLoader(Dataset(data), batch_size=4),
        optimizer=optimizer,
        scheduler=ConstantLR(optimizer, 1.0),
        loss=nn.MSELoss(),
        prepare_batch=AskInFirstEpoch(),
        max_epochs=max_epochs,
        folder=folder,
    )
    equip(new_trainer(parts), parts, [], {}).run()
    return network.state_dict()


def test_weights_that_a_batch_does_not_ask_for_resume_equal(tmp_path: Path) -> None:
    """Gradients are not part of a checkpoint: of one that was zero, not none, momentum went on without a resume."""
    whole = trained(tmp_path / "whole", 3)
    trained(tmp_path / "stopped", 1)
    resumed = trained(tmp_path / "stopped", 3)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
