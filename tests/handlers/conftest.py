"""A toy training that MONAI's engines run in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from ignite.handlers import EarlyStopping
from ignite.metrics import MeanSquaredError
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from torch.utils.data import RandomSampler

from labelmine.handlers import EpochSeed, History, Resume


@dataclass
class Toy:
    """A trainer and what a test looks at."""

    trainer: SupervisedTrainer
    network: torch.nn.Module
    history: History
    iterations: list[int]

    def run(self) -> Toy:
        self.trainer.run()
        return self

    def curve(self) -> list[dict[str, float]]:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in self.history.rows]

    def weights(self) -> list[torch.Tensor]:
        return [value.clone() for value in self.network.state_dict().values()]


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., Toy]:
    """Maker of a small regression with dropout and random batches: ``toy("a", max_epochs=4, patience=2)``."""

    def make(folder: str = "toy", max_epochs: int = 4, patience: int = 100, width: int = 8, seed: int = 0) -> Toy:
        torch.manual_seed(seed)
        data = [{"image": torch.randn(4), "label": torch.randn(1)} for _ in range(12)]
        network = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Dropout(), torch.nn.Linear(width, 1))
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(data), batch_size=4),
            network=network,
            key_val_metric={"val_loss": MeanSquaredError(lambda output: (output["pred"], output["label"]))},
            decollate=False,
        )
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=max_epochs,
            train_data_loader=DataLoader(Dataset(data), batch_size=4, sampler=RandomSampler(data)),
            network=network,
            optimizer=optimizer,
            loss_function=torch.nn.MSELoss(),
            decollate=False,
        )
        early = EarlyStopping(patience, lambda engine: -engine.state.metrics["val_loss"], trainer)
        evaluator.add_event_handler(Events.COMPLETED, early)
        history = History(tmp_path / folder / "history.csv", evaluator, optimizer)
        state = {"network": network, "optimizer": optimizer, "early": early, "history": history}
        for handler in (
            EpochSeed(seed),
            ValidationHandler(1, evaluator),
            history,
            Resume(tmp_path / folder / "checkpoint.pt", state),
        ):
            handler.attach(trainer)
        iterations: list[int] = []
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: iterations.append(engine.state.iteration))
        return Toy(trainer, network, history, iterations)

    return make
