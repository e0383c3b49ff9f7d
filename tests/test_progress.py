from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import ignite.distributed as idist
import pytest

from labelmine import progress as module
from labelmine.progress import ProgressLine, progress


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the log got, where output is no terminal."""
    got: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: got.append(record.getMessage()))
    module.logger.addHandler(handler)
    with caplog.at_level(logging.INFO):
        yield got
    module.logger.removeHandler(handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that only the test moves."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    stopped = Clock()
    monkeypatch.setattr(module, "time", stopped)
    return stopped


@pytest.fixture
def console(terminal: Any) -> Iterator[logging.Logger]:
    """A logger as ``logging.conf`` makes it: messages on standard output, which is the terminal."""
    logger = logging.getLogger("console")
    handler = logging.StreamHandler(terminal)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)


def test_elements_come_unchanged(messages: list[str]) -> None:
    assert list(progress(iter("abc"), "spell", "letter")) == ["a", "b", "c"]


def test_log_gets_one_line_at_the_end(messages: list[str], clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(12), "examine", "batch"):
        clock.now += 1
        assert messages == []
    assert messages == ["examine: 12 batches, 12 s"]
    assert capsys.readouterr() == ("", "")


def test_log_of_a_long_loop_gets_a_line_every_half_minute(messages: list[str], clock: Any) -> None:
    for _ in progress(iter(range(10)), "read", total=10):
        clock.now += 12
    assert messages == [
        "read: 3 of 10 images, 36 s, 84 s left",
        "read: 6 of 10 images, 72 s, 48 s left",
        "read: 9 of 10 images, 2 min, 12 s left",
        "read: 10 images, 2 min",
    ]


def test_loop_of_unknown_length(messages: list[str], clock: Any) -> None:
    for _ in progress(iter(range(2)), "read"):
        clock.now += 31
    assert messages == ["read: 1 image, 31 s", "read: 2 images, 62 s", "read: 2 images, 62 s"]


def test_small_part_is_told_only_where_it_took_long(messages: list[str], clock: Any) -> None:
    list(progress(range(3), "quick", leave=False))
    assert messages == []
    for _ in progress(range(1), "slow", leave=False):
        clock.now += 40
    assert messages[-1] == "slow: 1 image, 40 s"


def test_nothing_is_said_of_nothing(messages: list[str], terminal: Any) -> None:
    list(progress([], "empty"))
    assert terminal.lines() == [""]
    assert messages == []


def test_line_goes_on_where_an_earlier_run_stood(messages: list[str], clock: Any) -> None:
    with ProgressLine("study", "cell", total=8, initial=4) as line:
        clock.now += 40
        line.update(2, note="kvasir-unet-0")
        line.update(0, note="kvasir-unet-1")
        clock.now += 10
        line.update(2)
    assert messages == [
        "study: 6 of 8 cells, kvasir-unet-0, 40 s, 40 s left",
        "study: 8 cells, kvasir-unet-1, 50 s",
    ]


def test_unmoved_line_is_not_repeated(messages: list[str], clock: Any) -> None:
    with ProgressLine("study", "cell", total=8) as line:
        for _ in range(5):
            clock.now += 60
            line.update(0, note="waiting")
    assert messages == []


def test_bytes_are_told_in_larger_units(messages: list[str], clock: Any) -> None:
    with ProgressLine("weights", "B", total=3 << 20) as line:
        clock.now += 30
        line.update(1 << 20)
        line.update(2 << 20)
    assert messages == ["weights: 1.00MB of 3.00MB, 30 s, 60 s left", "weights: 3.00MB, 30 s"]


def test_error_ends_without_a_message(messages: list[str]) -> None:
    with suppress(KeyError):
        for _ in progress(range(3), "read"):
            raise KeyError
    assert messages == []


def test_terminal_keeps_one_full_line(terminal: Any, messages: list[str]) -> None:
    for _ in progress(range(12), "examine", "batch"):
        pass
    (line, rest) = terminal.lines()
    assert line.startswith("examine: 100%|")
    assert "12/12 [" in line
    assert "batch/s]" in line
    assert rest == ""
    assert messages == []


@pytest.mark.parametrize("total", [None, 7, 3], ids=["unknown", "too_many", "too_few"])
def test_line_is_full_whatever_was_expected(terminal: Any, total: int | None) -> None:
    list(progress(iter(range(5)), "examine", total=total))
    assert terminal.lines()[0].startswith("examine: 100%|")
    assert "5/5" in terminal.lines()[0]


def test_line_stays_as_an_error_left_it(terminal: Any) -> None:
    with suppress(KeyError):
        for number in progress(range(4), "examine"):
            if number == 3:
                raise KeyError
    assert terminal.lines()[0].startswith("examine:  75%|")
    assert terminal.lines()[1:] == [""]


def test_small_part_leaves_nothing(terminal: Any) -> None:
    list(progress(range(3), "check data", leave=False))
    assert terminal.lines() == [""]


def test_line_below_another_vanishes(terminal: Any) -> None:
    for _ in progress(range(2), "outer"):
        for _ in progress(range(3), "inner"):
            assert [line.split(":")[0] for line in terminal.lines()] == ["outer", "inner"]
    assert [line.split("|")[0] for line in terminal.lines() if line] == ["outer: 100%"]


def test_messages_and_warnings_stand_above_the_line(terminal: Any, console: logging.Logger) -> None:
    shown = warnings.showwarning
    for number in progress(range(2), "examine"):
        console.info("image %d", number)
        for _ in progress(range(1), "inner"):
            console.warning("odd")
        if number:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.showwarning("strange", UserWarning, "file.py", 1)
    console.info("done")
    lines = terminal.lines()
    assert lines[:4] == ["INFO image 0", "WARNING odd", "INFO image 1", "WARNING odd"]
    assert lines[4] == "file.py:1: UserWarning: strange"
    assert lines[5].startswith("examine: 100%|")
    assert lines[6:] == ["INFO done", ""]
    assert console.handlers[0].stream is terminal  # type: ignore[attr-defined]  # a StreamHandler
    assert warnings.showwarning is shown


def test_lines_that_end_out_of_turn_give_the_log_back(terminal: Any, console: logging.Logger) -> None:
    first, second = ProgressLine("first"), ProgressLine("second")
    first.close()
    console.info("between")
    second.close()
    second.close()
    assert console.handlers[0].stream is terminal  # type: ignore[attr-defined]  # a StreamHandler
    assert "INFO between" in terminal.lines()


@pytest.mark.parametrize("pipe", [io.StringIO(), None], ids=["file", "closed"])
@pytest.mark.parametrize("piped", ["stdout", "stderr"])
def test_one_piped_stream_is_no_terminal(
    terminal: Any, messages: list[str], monkeypatch: pytest.MonkeyPatch, piped: str, pipe: Any
) -> None:
    monkeypatch.setattr(module.sys, piped, pipe)
    list(progress(range(2), "read"))
    assert terminal.lines() == [""]
    assert len(messages) == 1


@pytest.mark.parametrize("on_terminal", [True, False])
def test_other_ranks_say_nothing(
    terminal: Any, messages: list[str], monkeypatch: pytest.MonkeyPatch, on_terminal: bool
) -> None:
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    monkeypatch.setattr(module, "on_terminal", lambda: on_terminal)
    list(progress(range(2), "read"))
    assert terminal.lines() == [""]
    assert messages == []
