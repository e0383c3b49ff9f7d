from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelmine.data import ClassMap, prepare_image_set, read_mask
from labelmine.errors import DataError
from labelmine.exchange import corrections_reader
from labelmine.exchange.decisions import Decision, DecisionLog, mask_dice

SHAPE = (1, 48, 48)


def decision(image: str, verdict: str, reviewer: str = "ann", **more: Any) -> Decision:
    facts = {"when": "2026-01-02T03:04:05+00:00", "seconds": 2.0, "label_sha256": "0" * 64, **more}
    return Decision(id=image, reviewer=reviewer, verdict=verdict, **facts)  # type: ignore[arg-type]


def disc(radius: float) -> np.ndarray:
    rows, columns = np.indices(SHAPE[1:])
    return ((rows - 24) ** 2 + (columns - 24) ** 2 <= radius**2)[None]


@pytest.fixture
def log(tmp_path: Path) -> DecisionLog:
    return DecisionLog(tmp_path / "review", ClassMap())


def test_what_was_decided_is_there_after_a_kill(log: DecisionLog) -> None:
    kept = log.append(decision("a", "corrected", prompts=[{"class": 0, "box": [1, 2, 3, 4]}]), disc(9))
    log.append(decision("b", "rejected"))
    with log.path.open("a") as file:
        file.write('{"id": "c", "verd')  # torn by the kill
    again = DecisionLog(log.folder)
    assert [one.id for one in again.decisions] == ["a", "b"]
    assert (again.mask(kept) == disc(9)).all()
    assert json.loads(log.path.read_text().splitlines()[0])["prompts"] == [{"class": 0, "box": [1, 2, 3, 4]}]
    again.append(decision("c", "accepted"), disc(3))
    assert [one.id for one in DecisionLog(log.folder).decisions] == ["a", "b", "c"]


def test_the_latest_word_counts_and_undone_takes_it_back(log: DecisionLog) -> None:
    log.append(decision("a", "accepted"), disc(5))
    log.append(decision("a", "corrected", "bob"), disc(9))
    log.append(decision("b", "rejected"))
    log.append(decision("b", "undone"))
    assert {name: one.reviewer for name, one in log.final().items()} == {"a": "bob"}
    log.append(decision("a", "accepted"), disc(5))
    assert log.final()["a"].reviewer == "ann"
    log.append(decision("a", "undone"))
    assert log.final()["a"].reviewer == "bob"


def test_agreement_of_two_reviewers(log: DecisionLog) -> None:
    for image, ann, bob in (("same", 9, 9), ("near", 15, 14.5), ("far", 9, 3)):
        log.append(decision(image, "corrected"), disc(ann))
        log.append(decision(image, "corrected", "bob"), disc(bob))
    for reviewer in ("ann", "bob"):
        log.append(decision("bad", "rejected", reviewer))
    log.append(decision("split", "rejected"))
    log.append(decision("split", "accepted", "bob"), disc(4))
    log.append(decision("alone", "rejected"))
    found = log.agreement()
    dice = [1.0, mask_dice(disc(15), disc(14.5)), mask_dice(disc(9), disc(3))]
    assert (found.n, found.same) == (5, 3)
    assert found.dice == pytest.approx(np.mean(dice))


def test_many_threads_lose_no_line(log: DecisionLog) -> None:
    def decide(reviewer: str) -> None:
        for number in range(20):
            log.append(decision(str(number), "accepted", reviewer), disc(number))

    threads = [threading.Thread(target=decide, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(DecisionLog(log.folder).decisions) == 80


def test_what_is_damaged_or_of_other_classes_is_refused(log: DecisionLog) -> None:
    kept = log.append(decision("a", "accepted"), disc(5))
    with pytest.raises(
        DataError, match=r"holds a review of the classes \('foreground',\), expected \('cyst', 'mass'\)"
    ):
        DecisionLog(log.folder, ClassMap(("cyst", "mass"), (1, 2)))
    log.mask_path(kept.mask_sha256).write_bytes(b"other")
    with pytest.raises(DataError, match="was changed since it was decided"):
        log.mask(kept)
    with pytest.raises(DataError, match=r"holds no classes.json"):
        DecisionLog(log.folder / "elsewhere")


def test_decisions_become_gold_and_rejected_images_are_not_mined(
    log: DecisionLog, tmp_path: Path, phantom_folder: Callable[..., Path]
) -> None:
    source = str(phantom_folder(20))
    first = prepare_image_set(source, str(tmp_path / "first"), labeled_fraction=0.25)
    good, mended, bad, held = (item["id"] for item in [*first.unlabeled[:3], first.val[0]])
    log.append(decision(good, "accepted"), disc(5))
    log.append(decision(mended, "corrected"), disc(9))
    log.append(decision(bad, "rejected"))
    log.append(decision(held, "rejected"))
    images = prepare_image_set(
        source, str(tmp_path / "second"), labeled_fraction=0.25, corrections=corrections_reader(str(log.folder))
    )
    gold = {item["id"]: item for item in images.train}
    assert (read_mask(gold[mended]["label"]) > 0).tolist() == disc(9)[0].tolist()
    assert (read_mask(gold[good]["label"]) > 0).sum() == disc(5).sum()
    assert {good, mended, bad}.isdisjoint(item["id"] for item in images.unlabeled)
    assert bad not in gold
    assert [item["id"] for item in images.val] == [item["id"] for item in first.val]
    assert (images.summary["n_corrected"], images.summary["n_rejected"], images.summary["n_held_out"]) == (2, 1, 0)
    assert len(images.unlabeled) == len(first.unlabeled) - 3
    log.append(decision(bad, "undone"))
    with pytest.raises(DataError, match="corrections was"):  # other decisions make another run
        prepare_image_set(
            source, str(tmp_path / "second"), labeled_fraction=0.25, corrections=corrections_reader(str(log.folder))
        )
