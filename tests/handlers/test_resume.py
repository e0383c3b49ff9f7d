from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from labelmine.errors import WeightsError
from labelmine.handlers import Resume
from makers import Killed, RunsCode


def killed_at(iteration: int, toy: Any) -> None:
    def kill(engine: Engine) -> None:
        raise Killed

    toy.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), kill)
    with pytest.raises(Killed):
        toy.run()


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# An epoch has three iterations: before the first checkpoint, within an epoch, at an epoch's last step.
@pytest.mark.parametrize("iteration", [2, 4, 6, 11])
def test_killed_run_ends_as_the_uninterrupted_one(toy: Callable[..., Any], iteration: int) -> None:
    whole = toy("whole").run()
    killed_at(iteration, toy("killed"))

    resumed = toy("killed").run()

    assert same(resumed.weights(), whole.weights())
    assert resumed.curve() == whole.curve()
    assert resumed.iterations == list(range((iteration - 1) // 3 * 3 + 1, 13))


def test_history_file_holds_all_epochs_after_a_kill(toy: Callable[..., Any], tmp_path: Path) -> None:
    killed_at(8, toy("killed"))
    toy("killed").run()
    lines = (tmp_path / "killed" / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4"]


def test_finished_run_is_left_as_it_is(toy: Callable[..., Any]) -> None:
    first = toy().run()
    second = toy(seed=1).run()
    assert second.iterations == []
    assert same(second.weights(), first.weights())
    assert second.curve() == first.curve()


def test_more_epochs_go_on(toy: Callable[..., Any]) -> None:
    toy("some", max_epochs=2).run()
    more = toy("some", max_epochs=4).run()
    assert len(more.iterations) == 6
    assert same(more.weights(), toy("all").run().weights())


def test_early_stopped_run_stays_stopped(toy: Callable[..., Any]) -> None:
    stopped = toy(max_epochs=50, patience=1).run()
    epochs = len(stopped.history.rows)
    assert epochs < 50

    again = toy(max_epochs=50, patience=1).run()
    assert again.iterations == []
    assert same(again.weights(), stopped.weights())

    raised = toy(max_epochs=51, patience=1).run()
    assert raised.history.rows[epochs]["epoch"] == epochs + 1


def test_checkpoint_is_replaced_whole(toy: Callable[..., Any], tmp_path: Path) -> None:
    toy().run()
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["checkpoint.pt", "history.csv"]


def test_checkpoint_with_code_is_refused_and_not_run(toy: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    torch.save({"engine": RunsCode(tmp_path / "trap")}, tmp_path / "toy" / "checkpoint.pt")
    with pytest.raises(WeightsError, match=r"toy/checkpoint.pt: cannot go on .*could run any code"):
        toy().run()
    assert not (tmp_path / "trap").exists()


def test_damaged_checkpoint_says_so(toy: Callable[..., Any], tmp_path: Path) -> None:
    toy().run()
    path = tmp_path / "toy" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match=r"truncated or no weights file.*delete it to train anew"):
        toy().run()


@pytest.mark.parametrize(
    "content", [{}, {"network": {}}, torch.zeros(3), [1, 2]], ids=["{}", "empty", "tensor", "list"]
)
def test_other_content_is_refused(toy: Callable[..., Any], tmp_path: Path, content: Any) -> None:
    (tmp_path / "toy").mkdir()
    torch.save(content, tmp_path / "toy" / "checkpoint.pt")
    with pytest.raises(WeightsError, match=r"damaged or of another training"):
        toy().run()


def test_checkpoint_of_another_network_is_refused(toy: Callable[..., Any]) -> None:
    toy(width=8).run()
    with pytest.raises(WeightsError, match=r"(?s)of another training .*size mismatch"):
        toy(width=9).run()


def test_loss_scaler_is_taken_along(tmp_path: Path) -> None:
    def engine_with(scale: float) -> Engine:
        engine = Engine(lambda engine, batch: None)
        engine.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        engine.scaler.scale(torch.ones(1))  # the scale exists from its first use on
        Resume(tmp_path / "checkpoint.pt", {}).attach(engine)
        return engine

    engine_with(4.0).run([0, 1], max_epochs=1)
    second = engine_with(1024.0)
    second.run([0, 1], max_epochs=2)
    assert second.scaler.get_scale() == 4.0
