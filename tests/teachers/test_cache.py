"""The embedding cache: what is kept comes back whole, what is damaged is seen, and no trouble stops a run."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import stat
import time
from pathlib import Path

import pytest
import torch
import zarr
from torch import Tensor
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore

from labelmine.errors import ConfigError
from labelmine.teachers.cache import CHECKSUM_BYTES, EmbeddingCache
from labelmine.teachers.cache_storage import TORN_AFTER, cache_folder
from labelmine.teachers.image_key import image_key
from makers import embedding_chunks

SHAPE = (4, 3, 3)
BYTES = 2 * 4 * 3 * 3 + CHECKSUM_BYTES


def image(number: int) -> Tensor:
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(number))


def embedding(number: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(number)).half()


def fill(cache: EmbeddingCache, numbers: range, fingerprint: str = "teacher") -> None:
    for number in numbers:
        cache.write(fingerprint, image_key(image(number)), embedding(number))


def there(cache: EmbeddingCache, numbers: range, fingerprint: str = "teacher") -> list[int]:
    found = [(n, cache.read(fingerprint, image_key(image(n)))) for n in numbers]
    assert all(torch.equal(value, embedding(n)) for n, value in found if value is not None)
    return [n for n, value in found if value is not None]


def test_what_was_written_comes_back_bit_for_bit_in_another_run(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "cache")
    assert there(cache, range(3)) == []
    fill(cache, range(3))
    again = EmbeddingCache(tmp_path / "cache")
    assert there(again, range(4)) == [0, 1, 2]
    assert again.size == cache.size == 3 * BYTES
    assert sum(path.stat().st_size for path in embedding_chunks(tmp_path / "cache")) == 3 * BYTES
    assert again.statistics.damaged == 0


def test_one_file_an_image_in_a_folder_for_its_owner_alone(tmp_path: Path) -> None:
    fill(EmbeddingCache(tmp_path / "cache"), range(2))
    assert len(embedding_chunks(tmp_path / "cache")) == 2
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    (description,) = tmp_path.glob("cache/*/zarr.json")
    attributes = zarr.open_array(LocalStore(tmp_path / "cache"), path=description.parent.name, mode="r").attrs
    assert dict(attributes) == {"fingerprint": "teacher", "image_shape": [3, 8, 8]}


@pytest.mark.parametrize("other", ["other weights", "teache", ""])
def test_teachers_never_share(tmp_path: Path, other: str) -> None:
    cache = EmbeddingCache(tmp_path)
    fill(cache, range(2))
    assert there(cache, range(2), other) == []


def test_key_is_the_content() -> None:
    pixels = torch.rand(3, 6, 8)
    assert image_key(pixels) == image_key(pixels.clone().permute(2, 1, 0).contiguous().permute(2, 1, 0))
    assert image_key(pixels).row < 2**60
    changed = pixels.clone()
    changed[2, 5, 7] = torch.nextafter(changed[2, 5, 7], torch.tensor(2.0))
    assert image_key(pixels).row != image_key(changed).row
    assert image_key(pixels).row != image_key(pixels.reshape(3, 8, 6)).row


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "other length"])
def test_a_damaged_embedding_is_counted_and_made_again(tmp_path: Path, damage: str) -> None:
    cache = EmbeddingCache(tmp_path)
    fill(cache, range(1))
    (chunk,) = embedding_chunks(tmp_path)
    content = bytearray(chunk.read_bytes())
    content[30] ^= 1
    broken = {"flipped": content, "truncated": content[:20], "empty": b"", "other length": content + b"\0" * 8}
    chunk.write_bytes(broken[damage])
    assert there(cache, range(1)) == []
    assert cache.statistics.damaged == 1
    fill(cache, range(1))
    assert there(cache, range(1)) == [0]
    assert cache.statistics.damaged == 1


def test_a_removed_embedding_is_missing_but_not_damaged(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    fill(cache, range(2))
    embedding_chunks(tmp_path)[0].unlink()
    assert len(there(cache, range(2))) == 1
    assert cache.statistics.damaged == 0


def test_values_that_are_not_finite_count_as_damage(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path)
    fill(cache, range(1))
    array = zarr.open_array(cache.store, path=embedding_chunks(tmp_path)[0].parent.name, mode="r+")
    row = image_key(image(0)).row
    values = embedding(0).numpy()
    values[0, 0, 0] = float("inf")
    array[row] = values
    assert there(cache, range(1)) == []
    assert cache.statistics.damaged == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_kept(tmp_path: Path, value: float) -> None:
    cache = EmbeddingCache(tmp_path)
    cache.write("teacher", image_key(image(0)), torch.full(SHAPE, value).half())
    assert embedding_chunks(tmp_path) == []
    assert cache.writable


@pytest.mark.parametrize("content", ["", '{"zarr_format": 3, "node', '{"zarr_format": 3}', "[]"])
def test_a_damaged_description_is_mended_and_the_embeddings_stay(tmp_path: Path, content: str) -> None:
    fill(EmbeddingCache(tmp_path), range(2))
    (description,) = tmp_path.glob("*/zarr.json")
    whole = description.read_bytes()
    description.write_text(content)
    cache = EmbeddingCache(tmp_path)
    assert there(cache, range(2)) == []
    fill(cache, range(2, 3))
    assert description.read_bytes() == whole
    assert there(cache, range(3)) == [0, 1, 2]


def test_a_description_of_another_shape_is_replaced(tmp_path: Path) -> None:
    fill(EmbeddingCache(tmp_path), range(1))
    (description,) = tmp_path.glob("*/zarr.json")
    description.write_text(description.read_text().replace("4,", "5,"))
    cache = EmbeddingCache(tmp_path)
    assert there(cache, range(1)) == []
    assert cache.statistics.damaged == 1
    fill(cache, range(1))
    assert there(cache, range(1)) == [0]


def test_eviction_keeps_the_limit_and_drops_at_random(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, max_bytes=20 * BYTES)
    state, generator = random.getstate(), torch.get_rng_state()
    for number in range(60):
        fill(cache, range(number, number + 1))
        assert sum(path.stat().st_size for path in embedding_chunks(tmp_path)) <= 20 * BYTES
    kept = there(cache, range(60))
    assert len(kept) * BYTES == cache.size
    assert cache.statistics.evicted == 60 - len(kept)
    assert 18 <= len(kept) <= 20
    assert kept != list(range(60 - len(kept), 60))  # the least recently used would leave the last ones
    assert random.getstate() == state
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_limit_is_for_all_teachers_and_all_processes_together(tmp_path: Path) -> None:
    """Each cache knows of the others' embeddings only by counting again."""
    caches = [EmbeddingCache(tmp_path, max_bytes=100 * BYTES) for _ in range(3)]
    for number in range(80):
        for n, cache in enumerate(caches):
            fill(cache, range(number, number + 1), f"teacher {n}")
    assert len(embedding_chunks(tmp_path)) <= 100 + 3 * 5  # each may be a twentieth of the limit behind
    assert len({path.parent for path in embedding_chunks(tmp_path)}) == 3


def test_a_limit_below_one_embedding_keeps_nothing_and_goes_on(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, max_bytes=1)
    fill(cache, range(3))
    assert (embedding_chunks(tmp_path), cache.size, cache.statistics.evicted) == ([], 0, 3)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("thesis.txt", "0123456789abcdef/thesis.txt", "0123456789abcdef/12.0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("dear")
    fill(EmbeddingCache(tmp_path, max_bytes=1), range(3))
    assert len([path for path in tmp_path.rglob("*") if path.is_file() and path.read_text() == "dear"]) == 3


def test_halves_of_killed_writes_are_removed_but_not_of_living_ones(tmp_path: Path) -> None:
    fill(EmbeddingCache(tmp_path), range(1))
    folder = embedding_chunks(tmp_path)[0].parent
    old, fresh = folder / "1.0.0.abc.partial", folder / "2.0.0.abc.partial"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - TORN_AFTER - 60,) * 2)
    assert EmbeddingCache(tmp_path).size == BYTES
    assert (old.exists(), fresh.exists()) == (False, True)


@pytest.mark.parametrize("place", ["memory://labelmine-test", MemoryStore()])
def test_other_stores_than_folders(place: str | MemoryStore) -> None:
    cache = EmbeddingCache(place, max_bytes=5 * BYTES)
    assert cache.free is None
    fill(cache, range(4))
    assert there(EmbeddingCache(place), range(5)) == [0, 1, 2, 3]
    fill(cache, range(4, 9))
    assert len(there(EmbeddingCache(place), range(9))) <= 5
    assert cache.writable


def test_file_urls_are_folders(tmp_path: Path) -> None:
    fill(EmbeddingCache(f"file://{tmp_path}/cache"), range(1))
    assert len(embedding_chunks(tmp_path / "cache")) == 1


def test_places_of_no_use_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a folder or a URL that fsspec knows .* Got the scheme 's4://'"):
        EmbeddingCache("s4://bucket")
    with pytest.raises(ConfigError, match=r"cache_gb: expected more than 0; for no cache .* to null. Got: -1"):
        EmbeddingCache("somewhere", max_bytes=-1e9)


def test_a_url_that_needs_another_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("zarr.storage.FsspecStore.from_url", missing)
    with pytest.raises(ConfigError, match=r"'s3://' needs another package: Install s3fs to access S3"):
        EmbeddingCache("s3://user:secret@bucket")


def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = EmbeddingCache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        fill(cache, range(3))
    assert there(cache, range(3)) == []
    assert not cache.writable
    assert cache.summary()["bytes"] == 0
    (record,) = caplog.records
    assert "cannot be written (NotADirectoryError: Not a directory)" in record.message
    assert str(tmp_path) not in caplog.text


def test_a_full_disk_leaves_what_is_there_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingCache(tmp_path)
    fill(cache, range(2))

    async def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStore, "set", full)
    fill(cache, range(2, 4))
    assert not cache.writable
    assert there(cache, range(4)) == [0, 1]


def test_default_folder(monkeypatch: pytest.MonkeyPatch, cache_of_tests: Path) -> None:
    assert cache_folder() == cache_of_tests
    monkeypatch.delenv("LABELMINE_CACHE_DIR")
    assert cache_folder() == Path(torch.hub.get_dir()) / "labelmine" / "embeddings"


def write_in_turn(folder: str, first: int, barrier: object) -> None:
    cache = EmbeddingCache(folder)
    barrier.wait()  # type: ignore[attr-defined]
    fill(cache, range(first, first + 20))
    assert cache.writable


@pytest.mark.slow  # another process imports torch and all
def test_processes_write_the_same_and_other_images_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where the other process finds this module
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2, timeout=300)
    other = context.Process(target=write_in_turn, args=(str(tmp_path), 10, barrier))
    other.start()
    write_in_turn(str(tmp_path), 0, barrier)
    other.join()
    assert other.exitcode == 0
    cache = EmbeddingCache(tmp_path)
    assert there(cache, range(31)) == list(range(30))
    assert cache.size == 30 * BYTES
    assert sync(cache.store.exists(f"{embedding_chunks(tmp_path)[0].parent.name}/zarr.json"))
