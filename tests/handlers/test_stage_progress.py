from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator

from labelmine.handlers import StageProgress

SECONDS = r"\d+\.\d s"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The messages about progress, without what differs from run to run."""

    def messages() -> list[str]:
        own = [record for record in caplog.records if "progress" in record.name]
        return [re.sub(SECONDS, "T", record.getMessage()) for record in own]

    with caplog.at_level(logging.INFO):
        yield messages


@pytest.fixture
def engine() -> Engine:
    """Counts down from 0.5 by 0.1 a batch, two batches an epoch."""
    return Engine(lambda engine, batch: {"loss": torch.tensor(0.6 - 0.1 * engine.state.iteration)})


def watched(toy: Callable[..., Any], **knobs: Any) -> Any:
    made = toy(**knobs)
    StageProgress("toy", ["val_loss"], made.history.evaluator).attach(made.trainer)
    return made


def test_log_gets_one_line_an_epoch(engine: Engine, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(engine: Engine) -> None:
        engine.state.metrics["val_dice"] = 0.7 + engine.state.epoch / 100

    engine.add_event_handler(Events.EPOCH_COMPLETED, measure)
    StageProgress("supervised", ["val_dice", "absent"]).attach(engine)
    engine.run([0, 1], max_epochs=2)
    assert told() == [
        "supervised: epoch 1/2, loss 0.450, val_dice 0.710, T, T left",
        "supervised: epoch 2/2, loss 0.250, val_dice 0.720, T",
    ]
    assert capsys.readouterr() == ("", "")


def test_resumed_training_goes_on_counting(toy: Callable[..., Any], told: Any) -> None:
    watched(toy, max_epochs=2).run()
    watched(toy, max_epochs=4).run()
    assert [line.split(",")[0] for line in told()] == [f"toy: epoch {n}" for n in ("1/2", "2/2", "3/4", "4/4")]
    assert all(re.search(r"loss \d\.\d+, val_loss \d\.\d+, T", line) for line in told())


def test_finished_training_says_nothing(toy: Callable[..., Any], told: Any) -> None:
    watched(toy).run()
    before = told()
    watched(toy).run()
    assert told() == before


def test_early_stop_is_told(toy: Callable[..., Any], told: Any) -> None:
    epochs = len(watched(toy, max_epochs=50, patience=1).run().history.rows)
    assert len(told()) == epochs < 50
    assert told()[-1].endswith(", T, stopped early")
    assert all(line.endswith(" left") for line in told()[:-1])


def test_inference_is_told_as_a_loop(told: Any) -> None:
    data = [{"image": torch.zeros(4), "label": torch.zeros(1)}] * 5
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=torch.nn.Linear(4, 1),
        val_handlers=[StageProgress("inference")],
    )
    evaluator.run()
    evaluator.run()
    assert told() == ["inference: 3 batches, T"] * 2


def test_engine_that_counts_iterations(engine: Engine, told: Any) -> None:
    StageProgress("toy").attach(engine)
    engine.run([0, 1], max_iters=3)
    assert told()[0] == "toy: epoch 1, loss 0.450, T, T left"


def test_only_the_first_rank_tells(engine: Engine, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    StageProgress("toy").attach(engine)
    engine.run([0, 1], max_epochs=2)
    assert told() == []


def test_terminal_keeps_one_full_line_of_all_epochs(toy: Callable[..., Any], terminal: Any) -> None:
    watched(toy, max_epochs=3).run()
    (line, rest) = terminal.lines()
    assert re.fullmatch(
        r"toy: 100%\|#+\| 9/9 \[\d\d:\d\d<00:00, .*batch/s, epoch 3/3, loss \d\.\d+, val_loss \d\.\d+\]", line
    )
    assert rest == ""


def test_resumed_line_begins_where_it_stood(toy: Callable[..., Any], terminal: Any) -> None:
    watched(toy, max_epochs=2).run()
    seen: list[str] = []
    made = watched(toy, max_epochs=8)
    made.trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: seen.append(terminal.lines()[-1]))
    made.run()
    assert seen[0].startswith("toy:  25%|")
    assert "6/24" in seen[0]
    assert [line.split("|")[0] for line in terminal.lines()] == ["toy: 100%", "toy: 100%", ""]


def test_line_of_an_early_stop_is_full(toy: Callable[..., Any], terminal: Any) -> None:
    epochs = len(watched(toy, max_epochs=50, patience=1).run().history.rows)
    (line, rest) = terminal.lines()
    assert line.startswith("toy: 100%|")
    assert f"{3 * epochs}/{3 * epochs} [" in line
    assert f"epoch {epochs}/50" in line
    assert rest == ""


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_error_ends_the_line_and_comes_through(engine: Engine, terminal: Any, error: BaseException) -> None:
    def fail(engine: Engine) -> None:
        raise error

    engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), fail)
    StageProgress("toy").attach(engine)
    with pytest.raises(type(error)):
        engine.run([0, 1], max_epochs=2)
    assert terminal.lines()[0].startswith("toy:  50%|")
    assert terminal.lines()[1:] == [""]


def test_handler_that_explains_an_error_closes_the_line_first(engine: Engine, terminal: Any) -> None:
    def explain(engine: Engine, error: BaseException) -> None:
        raise LookupError("explained") from error

    shown = StageProgress("toy")
    engine.add_event_handler(Events.EXCEPTION_RAISED, shown.close)
    engine.add_event_handler(Events.EXCEPTION_RAISED, explain)
    shown.attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: 1 / 0)
    with pytest.raises(LookupError, match="explained"):
        engine.run([0, 1], max_epochs=2)
    assert terminal.lines()[0].startswith("toy:  50%|")
    assert terminal.lines()[1:] == [""]


@pytest.mark.parametrize(
    ("output", "loss"),
    [({"loss": torch.tensor(2.5)}, "loss 2.500, "), ([{"loss": torch.tensor(0.00125)}], "loss 0.00125, "), (None, "")],
    ids=["mapping", "decollated", "none"],
)
def test_loss_is_found_in_the_output(output: Any, loss: str, told: Any) -> None:
    engine = Engine(lambda engine, batch: output)
    StageProgress("toy").attach(engine)
    engine.run([0], max_epochs=2)
    assert told()[-1] == f"toy: epoch 2/2, {loss}T"
