"""What is shown of what labelmine and the libraries say."""

from __future__ import annotations

import logging
import warnings

import pytest

from labelmine.cli.messages import messages, silence_libraries


def say() -> None:
    logging.getLogger("labelmine.workflows").info("stage %s", "gate")
    logging.getLogger("labelmine.workflows").warning("12 masks are empty")
    logging.getLogger("ignite.engine").error("Engine run is terminating due to exception")
    logging.getLogger().warning("root")
    warnings.warn("a library's", UserWarning, stacklevel=1)


def test_only_labelmine_is_heard(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.warnoptions", [])
    with messages(debug=False):
        say()
    assert capsys.readouterr() == ("", "stage gate\nwarning: 12 masks are empty\n")


def test_debugging_hears_the_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="a library's"), messages(debug=True):
        say()
    said = capsys.readouterr().err
    assert "ignite.engine: Engine run is terminating" in said
    assert said.count("stage gate") == 1


def test_only_the_first_rank_tells(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("sys.warnoptions", [])
    with messages(debug=False):
        say()
    assert capsys.readouterr().err == "warning: 12 masks are empty\n"


def test_handlers_and_level_are_as_before() -> None:
    loggers = (logging.getLogger(), logging.getLogger("labelmine"))
    before = [(list(one.handlers), one.level) for one in loggers]
    with messages(debug=False):
        pass
    assert [(list(one.handlers), one.level) for one in loggers] == before


def test_monai_s_loggers_are_silenced_but_for_errors() -> None:
    logger = logging.getLogger("monai.bundle.scripts")
    before = logger.level
    try:
        logger.setLevel(logging.INFO)
        silence_libraries()
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    finally:
        logger.setLevel(before)
