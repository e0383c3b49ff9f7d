from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import fileConfig
from pathlib import Path

import monai.bundle
import pytest
from ignite.engine import Engine

from labelmine.handlers import StageProgress

CONF = Path(__file__).resolve().parents[2] / "configs" / "logging.conf"
LOGGERS = ("", "ignite", "monai.bundle.scripts", "monai.bundle.workflows")


@contextmanager
def as_in_a_run() -> Iterator[None]:
    """Logging as ``python -m monai.bundle run`` sets it up, on the streams of the moment; afterwards as it was."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    others = logging._handlerList[:]
    del logging._handlerList[:]  # else their streams, pytest's among them, would be closed (absl's handler does)
    fileConfig(CONF, disable_existing_loggers=False)
    yield
    logging._handlerList[:] = others
    for one, handlers, level, propagate in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def test_run_says_one_line_an_epoch_and_nothing_of_its_engines(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(lambda engine, batch: {"loss": 0.5})
    StageProgress("toy").attach(engine)
    with as_in_a_run():
        monai.bundle.scripts.logger.info("--- input summary\n\n")
        monai.bundle.workflows.logger.info("Setting logging properties")
        engine.run([0, 1], max_epochs=2)
    out, err = capsys.readouterr()
    assert [line.split(" - ")[-1].split(",")[0] for line in out.splitlines()] == ["toy: epoch 1/2", "toy: epoch 2/2"]
    assert err == ""


def test_warnings_of_the_engines_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with as_in_a_run():
        logging.getLogger("ignite.engine.engine.Engine").warning("odd")
        monai.bundle.scripts.logger.warning("odder")
    assert [line.split(" - ")[-1] for line in capsys.readouterr().out.splitlines()] == ["odd", "odder"]
