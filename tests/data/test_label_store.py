from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.data.classes import ClassMap
from labelmine.data.items import Item
from labelmine.data.label_store import LabelStore
from labelmine.data.loading import read_label
from labelmine.errors import DataError

BINARY = ClassMap()
ORGANS = ClassMap(("liver", "left lung"), (1, 2))
RECORD = {"source": "prompted", "score": 0.8, "accepted": True, "reason": ""}


def _item(name: str = "case_01", suffix: str = ".png") -> Item:
    return Item(id=name, image=f"/somewhere/anna/set/images/{name}{suffix}", group=name)


def _mask(classes: int = 1, seed: int = 0, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Channels that do not overlap."""
    values = np.random.default_rng(seed).integers(0, classes + 1, shape)
    return np.stack([values == number for number in range(1, classes + 1)])


@pytest.mark.parametrize(
    "classes",
    [BINARY, ORGANS, ClassMap(("a", "b", "c"), (3, 70, 1000)), ClassMap(("red", "blue"), ((255, 0, 0), (0, 0, 255)))],
)
def test_round_trip(tmp_path: Path, classes: ClassMap) -> None:
    mask = _mask(len(classes))
    LabelStore(tmp_path, classes).write(_item(), mask, RECORD)
    again = LabelStore(tmp_path, classes)
    read, weight = again.read(_item())
    np.testing.assert_array_equal(read, mask)
    assert read.dtype == np.uint8
    assert weight == 1.0
    assert again.done == {"case_01"}


def test_file_is_an_ordinary_mask(tmp_path: Path) -> None:
    mask = _mask(2)
    store = LabelStore(tmp_path, ORGANS)
    store.write(_item("video_1/frame_2"), mask, RECORD)
    path = tmp_path / "masks" / "video_1" / "frame_2.png"
    assert store.mask_path(_item("video_1/frame_2")) == path
    np.testing.assert_array_equal(read_label(_item(), path, ORGANS), mask)
    assert not (tmp_path / "by_class").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_overlapping_classes_are_kept_apart(tmp_path: Path) -> None:
    mask = np.zeros((2, 10, 10), dtype=bool)
    mask[0, :6], mask[1, 4:] = True, True
    LabelStore(tmp_path, ORGANS).write(_item(), mask, RECORD)
    np.testing.assert_array_equal(LabelStore(tmp_path, ORGANS).read(_item())[0], mask)
    assert (tmp_path / "by_class" / "2_left_lung" / "case_01.png").is_file()
    joined = np.asarray(Image.open(tmp_path / "masks" / "case_01.png"))
    np.testing.assert_array_equal(joined, ORGANS.decode(mask))


def test_weights_keep_steps_of_a_255th(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).random((20, 30))
    weight[:5], weight[5:7] = 0, 1
    LabelStore(tmp_path, BINARY).write(_item(), _mask(), RECORD, weight)
    read = LabelStore(tmp_path, BINARY).read(_item())[1]
    assert isinstance(read, np.ndarray)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, weight, atol=0.5 / 255 + 1e-6)
    assert (read[:5] == 0).all()
    assert (read[5:7] == 1).all()


def test_one_weight_for_all_pixels(tmp_path: Path) -> None:
    LabelStore(tmp_path, BINARY).write(_item(), _mask(), {**RECORD, "weight": 0.25})
    assert LabelStore(tmp_path, BINARY).read(_item())[1] == 0.25


def test_records_hold_no_user_path(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, BINARY, root="/somewhere/anna/set")
    store.write(_item(), _mask(), {**RECORD, "prompts": {"boxes": np.ones((1, 4))}, "predicted_iou": torch.tensor(0.5)})
    (record,) = LabelStore(tmp_path, BINARY).records()
    assert (record["id"], record["image"]) == ("case_01", "images/case_01.png")
    assert record["prompts"] == {"boxes": [[1.0] * 4]}
    assert record["predicted_iou"] == 0.5
    LabelStore(tmp_path / "no_root", BINARY).write(_item(), _mask(), RECORD)
    for path in tmp_path.rglob("manifest*"):
        assert "anna" not in path.read_text()


def test_accepted_items_keep_their_order(tmp_path: Path) -> None:
    items = [_item(f"case_{number}") for number in range(4)]
    store = LabelStore(tmp_path, BINARY)
    for number, item in enumerate(items[:3]):
        store.write(item, _mask(), {**RECORD, "accepted": number != 1})
    assert store.accepted_items(items[::-1]) == [items[2], items[0]]


def test_labelled_again_the_last_counts(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, BINARY)
    store.write(_item(), _mask(seed=1), {**RECORD, "round": 1}, np.zeros((20, 30)))
    store.write(_item(), _mask(seed=2), {**RECORD, "round": 2})
    for opened in (store, LabelStore(tmp_path, BINARY)):
        assert [record["round"] for record in opened.records()] == [2]
        np.testing.assert_array_equal(opened.read(_item())[0], _mask(seed=2))
        assert opened.read(_item())[1] == 1.0


def test_torn_last_line_is_made_again(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, BINARY)
    for number in range(3):
        store.write(_item(f"case_{number}"), _mask(), RECORD)
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-10])
    again = LabelStore(tmp_path, BINARY)
    assert again.done == {"case_0", "case_1"}
    again.write(_item("case_2"), _mask(), RECORD)
    assert LabelStore(tmp_path, BINARY).done == {"case_0", "case_1", "case_2"}
    assert len(manifest.read_text().splitlines()) == 3


def test_mask_without_line_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LabelStore(tmp_path, BINARY)
    with monkeypatch.context() as patch:
        patch.setattr(LabelStore, "_append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.write(_item(), _mask(seed=1), RECORD)
    assert (tmp_path / "masks" / "case_01.png").is_file()
    again = LabelStore(tmp_path, BINARY)
    assert again.done == set()
    again.write(_item(), _mask(seed=2), RECORD)
    np.testing.assert_array_equal(again.read(_item())[0], _mask(seed=2))


@pytest.mark.slow  # the writer is a process of its own, which imports torch
def test_killed_writer_goes_on(tmp_path: Path) -> None:
    program = """
import sys, numpy as np
from labelmine.data.label_store import ClassMap, Item, LabelStore
store = LabelStore(sys.argv[1], ClassMap())
for n in range(100_000):
    store.write(Item(id=f"c{n}", image=f"c{n}.png", group="g"), np.full((1, 64, 64), n % 2), {"accepted": True, "n": n})
"""
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    manifest = tmp_path / "manifest.jsonl"
    while writer.poll() is None and not (manifest.is_file() and manifest.stat().st_size > 2000):
        time.sleep(0.01)
    writer.kill()
    assert writer.wait() == -signal.SIGKILL
    store = LabelStore(tmp_path, BINARY)
    assert len(store.done) > 10
    for record in store.records():
        mask, _ = store.read(Item(id=record["id"], image=record["image"], group="g"))
        assert (mask == record["n"] % 2).all()


@pytest.fixture
def store_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], LabelStore]:
    """Open the store as one rank of several; ``finish`` goes by the rank that was opened last."""

    def opened(rank: int) -> LabelStore:
        monkeypatch.setattr("labelmine.data.label_store.idist.get_rank", lambda: rank)
        return LabelStore(tmp_path, BINARY)

    return opened


def test_ranks_write_manifests_of_their_own_and_read_all(tmp_path: Path, store_of: Callable[[int], LabelStore]) -> None:
    stores = [store_of(rank) for rank in range(3)]
    for rank, store in enumerate(stores):
        store.write(_item(f"case_{rank}"), _mask(seed=rank), {**RECORD, "accepted": rank != 1})
    for rank, name in enumerate(("manifest.jsonl", "manifest.1.jsonl", "manifest.2.jsonl")):
        (line,) = (tmp_path / name).read_text().splitlines()
        assert json.loads(line)["id"] == f"case_{rank}"
    items = [_item(f"case_{rank}") for rank in range(3)]
    for store in [*stores, store_of(0), store_of(5)]:
        np.testing.assert_array_equal(store.read(items[2])[0], _mask(seed=2))
        assert store.done == {item["id"] for item in items}
        assert store.accepted_items(items) == [items[0], items[2]]


def test_finish_joins_the_manifests_on_the_first_rank(tmp_path: Path, store_of: Callable[[int], LabelStore]) -> None:
    for rank in (1, 0, 2):
        store_of(rank).write(_item(f"case_{rank}"), _mask(), RECORD)
    before = {path: path.read_bytes() for path in tmp_path.glob("manifest*")}
    lines = sorted(line for content in before.values() for line in content.splitlines())
    store_of(1).finish()
    assert {path: path.read_bytes() for path in tmp_path.glob("manifest*")} == before
    other = store_of(2)
    store_of(0).finish()
    assert [path.name for path in sorted(tmp_path.glob("manifest*"))] == ["manifest.csv", "manifest.jsonl"]
    assert sorted((tmp_path / "manifest.jsonl").read_bytes().splitlines()) == lines
    assert other.done == store_of(0).done == {"case_0", "case_1", "case_2"}
    assert len(pd.read_csv(tmp_path / "manifest.csv")) == 3


def test_killed_while_manifests_are_joined(
    tmp_path: Path, store_of: Callable[[int], LabelStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in (0, 1):
        store_of(rank).write(_item(f"case_{rank}"), _mask(), RECORD)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store_of(0).finish()
    assert (tmp_path / "manifest.1.jsonl").is_file()
    store = store_of(0)
    assert [record["id"] for record in store.records()] == ["case_1", "case_0"]
    store.finish()
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 2


def test_a_line_that_another_rank_is_writing_is_left_to_it(
    tmp_path: Path, store_of: Callable[[int], LabelStore]
) -> None:
    writer = store_of(1)
    for number in range(2):
        writer.write(_item(f"case_{number}"), _mask(), RECORD)
    part = tmp_path / "manifest.1.jsonl"
    whole = part.read_bytes()
    part.write_bytes(whole[:-10])
    reader = store_of(0)
    assert reader.done == {"case_0"}
    assert part.read_bytes() == whole[:-10]
    part.write_bytes(whole)
    assert reader.done == {"case_0", "case_1"}
    part.write_bytes(whole[:-10])
    store_of(1).write(_item("case_2"), _mask(), RECORD)
    assert store_of(0).done == {"case_0", "case_2"}


def test_a_torn_line_of_a_rank_that_never_comes_back_is_dropped_at_the_end(
    tmp_path: Path, store_of: Callable[[int], LabelStore]
) -> None:
    store_of(1).write(_item("case_1"), _mask(seed=1), RECORD)
    part = tmp_path / "manifest.1.jsonl"
    part.write_bytes(part.read_bytes() + b'{"id": "case_2", "im')
    alone = store_of(0)
    alone.write(_item("case_2"), _mask(), RECORD)
    alone.write(_item("case_1"), _mask(seed=3), {**RECORD, "round": 2})  # labelled again: the last counts
    for store in (alone, store_of(0)):
        assert {record["id"]: record.get("round") for record in store.records()} == {"case_1": 2, "case_2": None}
    alone.finish()
    assert {r["id"]: r.get("round") for r in store_of(0).records()} == {"case_1": 2, "case_2": None}


def test_finish_writes_a_sorted_table(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, BINARY)
    for name in ("b", "a"):
        store.write(_item(name), _mask(), {**RECORD, "prompts": {"points": [[1, 2]]}})
    store.finish()
    table = pd.read_csv(tmp_path / "manifest.csv")
    assert list(table["id"]) == ["a", "b"]
    assert json.loads(table["prompts"][0]) == {"points": [[1, 2]]}
    assert table["accepted"].all()


def test_finish_without_labels(tmp_path: Path) -> None:
    LabelStore(tmp_path, BINARY).finish()
    assert (tmp_path / "manifest.csv").is_file()


@pytest.mark.parametrize(
    ("mask", "weight", "message"),
    [
        (np.ones((2, 4, 4)), None, r"case_01: expected a mask \(1, H, W\), got \(2, 4, 4\)"),
        (np.ones((4, 4)), None, r"expected a mask \(1, H, W\), got \(4, 4\)"),
        (np.ones((1, 4, 4)), np.ones((4, 5)), r"expected a weight \(4, 4\), got \(4, 5\)"),
    ],
)
def test_wrong_shapes(tmp_path: Path, mask: np.ndarray, weight: np.ndarray | None, message: str) -> None:
    store = LabelStore(tmp_path, BINARY)
    with pytest.raises(DataError, match=message):
        store.write(_item(), mask, RECORD, weight)
    assert store.done == set()


def test_other_classes_are_refused(tmp_path: Path) -> None:
    LabelStore(tmp_path, ORGANS)
    with pytest.raises(DataError, match=r"holds labels of the classes \['liver', 'left lung'\].*another folder"):
        LabelStore(tmp_path, BINARY)


def test_unknown_image_and_damaged_files(tmp_path: Path) -> None:
    store = LabelStore(tmp_path, BINARY)
    with pytest.raises(DataError, match="case_01: no label in"):
        store.read(_item())
    store.write(_item(), _mask(), RECORD)
    store.mask_path(_item()).write_bytes(b"")
    with pytest.raises(DataError, match=r"case_01.png: label cannot be read .* Delete the file"):
        store.read(_item())
    (tmp_path / "classes.json").write_text("{")
    with pytest.raises(DataError, match=rf"^{tmp_path.name}/classes.json: expected the classes .* got JSONDecodeError"):
        LabelStore.existing(tmp_path)
    with pytest.raises(DataError, match="delete the file in one of yours"):
        LabelStore(tmp_path, BINARY)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("position", [8, 60, -3, -15])
def test_a_damaged_line_is_passed_over_and_its_image_labelled_again(
    position: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LabelStore(tmp_path, BINARY)
    for number in range(3):
        store.write(_item(f"case_{number}"), _mask(), RECORD)
    flip(tmp_path / "manifest.jsonl", position)
    again = LabelStore(tmp_path, BINARY)
    assert again.done == ({"case_1", "case_2"} if position > 0 else {"case_0", "case_1"})
    assert "manifest.jsonl: 1 damaged lines" in caplog.text
    assert "check" not in again.records()[0]


def test_a_label_that_lost_its_file_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, store_of: Callable[[int], LabelStore]
) -> None:
    first = store_of(1)
    for number in range(3):
        first.write(_item(f"case_{number}"), _mask(), {**RECORD, "round": 1}, np.full((20, 30), 0.5))
    (tmp_path / "masks" / "case_1.png").unlink()
    (tmp_path / "weights" / "case_2.png").unlink()
    again = store_of(0)
    assert again.done == {"case_0"}
    assert "2 labels (case_1, case_2 ...) have lost their files" in caplog.text
    again.write(_item("case_1"), _mask(), {**RECORD, "round": 2})
    first.write(_item("case_0"), _mask(), {**RECORD, "round": 3})  # now the other manifest is read again
    assert again.done == {"case_0", "case_1"}
    again.finish()
    assert LabelStore(tmp_path, BINARY).done == {"case_0", "case_1"}


def test_masks_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "case_01.png").write_bytes(b"gold")
    with pytest.raises(DataError, match=r"masks: holds files that this run did not write.*Give another --output_dir"):
        LabelStore(tmp_path, BINARY)


def test_records_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"expected JSON types.*got object"):
        LabelStore(tmp_path, BINARY).write(_item(), _mask(), {"source": object()})


@pytest.mark.parametrize("values", [None, (1, 7), ((255, 0, 0), (0, 255, 0))])
def test_an_existing_store_is_opened_by_the_classes_it_remembers(
    tmp_path: Path, values: tuple[int, ...] | None
) -> None:
    names = ("foreground",) if values is None else ("a", "b")
    item = Item(id="one", image="one.png", group="one")
    mask = np.zeros((len(names), 4, 6), dtype=bool)
    mask[0, :2] = True
    LabelStore(tmp_path, ClassMap(names, values)).write(item, mask, {"accepted": True})
    again = LabelStore.existing(tmp_path)
    assert again.classes == ClassMap(names, values)
    np.testing.assert_array_equal(again.read(item)[0], mask)


@pytest.mark.parametrize("content", [None, "[", "{}"])
def test_a_folder_without_labels_is_not_opened(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "classes.json").write_text(content)
    with pytest.raises(DataError, match=r"classes.json: expected .* that mine.yaml or label.yaml wrote, got"):
        LabelStore.existing(tmp_path)
    assert list(tmp_path.iterdir()) == ([] if content is None else [tmp_path / "classes.json"])
