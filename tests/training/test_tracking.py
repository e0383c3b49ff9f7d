"""What MLflow is told; with a real MLflow where one is installed, else by what its client would be told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ignite.engine import Engine, Events
from torch import nn, optim, tensor

from labelmine.errors import ConfigError
from labelmine.training import tracking
from labelmine.training.tracking import Tracking, usable_tracking
from makers import knobs_of

KNOBS = {"seed": 7, "dataset_dir": "/home/jane/polyps", "window": None}


@pytest.mark.parametrize(
    ("uri", "advice"), [("runs", "sqlite:///runs/mlflow.db"), ("file:///a/b", "sqlite:////a/b/mlflow.db")]
)
def test_a_folder_is_refused_with_the_database_to_write_instead(uri: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=rf"tracking_uri: expected a server .* or {advice}, as MLflow 3 takes no"):
        knobs_of("train", tracking_uri=uri, device="cpu")


def test_a_missing_mlflow_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'tracking_uri: .*pip install "labelmine\[mlflow\]"'):
        knobs_of("mine", tracking_uri="sqlite:///a.db", device="cpu")
    assert usable_tracking(None) is None


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., None]:
    """Train two epochs of two steps, or until an error comes in the given step."""
    pytest.importorskip("mlflow")

    def train(epochs: int = 2, error: BaseException | None = None) -> None:
        evaluator = Engine(lambda engine, batch: None)
        trainer = Engine(lambda engine, batch: {"loss": tensor(1.0 / engine.state.iteration)})
        trainer.optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
        trainer.add_event_handler(
            Events.EPOCH_COMPLETED, lambda: evaluator.state.metrics.update(val_dice=trainer.state.epoch / 10)
        )
        Tracking(f"sqlite:///{tmp_path}/new/mlflow.db", "mine/supervised", evaluator, KNOBS).attach(trainer)
        if error is not None:

            def fail(*_: Any) -> None:
                raise error

            trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), fail)
            trainer.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, raised: (_ for _ in ()).throw(raised))
        trainer.run([0, 0], max_epochs=epochs)

    return train


def runs(tmp_path: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/new/mlflow.db")
    experiment = client.get_experiment_by_name("labelmine")
    found: list[Any] = client.search_runs([experiment.experiment_id])
    histories = [
        SimpleNamespace(
            run=run, dice=[(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "val_dice")]
        )
        for run in found
    ]
    return histories


@pytest.mark.slow
def test_knobs_validation_and_the_end_are_told(trained: Callable[..., None], tmp_path: Path) -> None:
    trained()
    (told,) = runs(tmp_path)
    assert (told.run.info.status, told.run.info.run_name) == ("FINISHED", "mine/supervised")
    assert told.dice == [(1, 0.1), (2, 0.2)]
    assert told.run.data.metrics["train_loss"] == 0.25
    assert told.run.data.params | {"seed": "7", "dataset_dir": "polyps", "window": "None"} == told.run.data.params


@pytest.mark.slow
def test_a_stopped_training_goes_on_in_its_run(trained: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(error=KeyboardInterrupt())
    assert [told.run.info.status for told in runs(tmp_path)] == ["KILLED"]
    trained()
    assert [told.run.info.status for told in runs(tmp_path)] == ["FINISHED"]


@pytest.mark.slow
def test_an_error_is_told(trained: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        trained(error=ZeroDivisionError())
    assert [told.run.info.status for told in runs(tmp_path)] == ["FAILED"]


@pytest.mark.slow
def test_a_training_that_was_finished_begins_no_run(trained: Callable[..., None], tmp_path: Path) -> None:
    trained()
    trained(epochs=0)
    assert len(runs(tmp_path)) == 1
