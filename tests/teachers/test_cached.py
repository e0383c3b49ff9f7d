"""The cached teacher: encodes once, and answers the same whatever the cache held."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from labelmine.labelers import PromptedLabeler
from labelmine.prompts import PromptGenerator
from labelmine.teachers import (
    CachedTeacher,
    CompactTeacher,
    EmbeddingCache,
    Teacher,
    build_cached_teacher,
    cache_metrics,
)

SIDE = 64


class Counting(CompactTeacher):
    """A compact teacher of random weights that counts what it is asked for."""

    def __init__(self, seed: int = 0, image_size: int = SIDE) -> None:
        torch.manual_seed(seed)
        super().__init__(image_size)
        self.eval().requires_grad_(False)
        self.batches: list[int] = []
        self.fingerprints = 0
        self.factor = 1.0

    @property
    def fingerprint(self) -> str:
        self.fingerprints += 1
        return super().fingerprint

    def encode(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return super().encode(images) * self.factor


@pytest.fixture
def images() -> Tensor:
    return torch.rand(4, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def test_hit_and_miss_are_equal_bit_for_bit(tmp_path: Path, images: Tensor) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    missed = cached.encode(images)
    hit = cached.encode(images)
    assert teacher.batches == [1, 1, 1, 1]
    assert missed.dtype == hit.dtype == torch.float32
    assert torch.equal(missed, hit)
    exact = teacher.encode(images)
    assert torch.allclose(missed, exact, rtol=1e-3, atol=1e-6)
    assert torch.equal(missed, torch.cat([teacher.encode(one[None]) for one in images]).half().float())
    statistics = cached.cache.statistics
    assert (statistics.hits, statistics.misses, statistics.hit_rate) == (4, 4, 0.5)


def test_an_answer_does_not_depend_on_what_was_there(tmp_path: Path, images: Tensor) -> None:
    """A resumed run finds other images of a batch cached than the run that was not killed."""
    whole = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "a")).encode(images)
    cached = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "b"))
    cached.encode(images[1:3])
    assert torch.equal(cached.encode(images), whole)
    assert torch.equal(cached.encode(images.flip(0)), whole.flip(0))


def test_an_image_is_encoded_once_within_a_batch_too(tmp_path: Path, images: Tensor) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    embeddings = cached.encode(images[[0, 1, 0, 0]])
    assert teacher.batches == [1, 1]
    assert torch.equal(embeddings[0], embeddings[3])
    assert (cached.cache.statistics.hits, cached.cache.statistics.misses) == (2, 2)


def test_labels_are_those_of_the_teacher_alone(tmp_path: Path, images: Tensor) -> None:
    def student(views: Tensor) -> Tensor:
        return (views.mean(1, keepdim=True) - 0.5) * 20

    teacher = Counting()
    batch = {"image": images}
    prompts = PromptGenerator(["box"], min_size=1)
    cached = build_cached_teacher(teacher, str(tmp_path))
    labels = [PromptedLabeler(t, prompts, min_score=0.0)(batch, student) for t in (teacher, cached, cached)]
    assert labels[0].accepted.any()
    assert torch.allclose(labels[0].mask, labels[1].mask, atol=0.01)
    assert torch.equal(labels[1].mask, labels[2].mask)
    assert labels[0].source == labels[1].source


def test_it_is_a_teacher_in_all_else(tmp_path: Path) -> None:
    teacher = Counting()
    teacher.trained_on = frozenset({"ab"})
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    assert isinstance(cached, Teacher)
    assert (cached.name, cached.weights_sha256, cached.trained_on) == (teacher.name, "", {"ab"})
    assert cached.fingerprint == cached.fingerprint == CompactTeacher.fingerprint.fget(teacher)  # type: ignore[attr-defined]
    assert teacher.fingerprints == 1


@pytest.mark.parametrize("other", [Counting(seed=1), Counting(image_size=96)])
def test_other_weights_and_other_preprocessing_never_share(tmp_path: Path, images: Tensor, other: Counting) -> None:
    cache = EmbeddingCache(tmp_path)
    CachedTeacher(Counting(), cache).encode(images)
    other.batches.clear()
    embeddings = CachedTeacher(other, cache).encode(images)
    assert other.batches == [1, 1, 1, 1]
    assert torch.equal(embeddings, torch.cat([other.encode(one[None]) for one in images]).half().float())


def test_a_damaged_embedding_is_encoded_again(tmp_path: Path, images: Tensor) -> None:
    teacher = Counting()
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    whole = cached.encode(images)
    chunk = next(path for path in tmp_path.glob("*/*") if path.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-10])
    assert torch.equal(cached.encode(images), whole)
    assert torch.equal(cached.encode(images), whole)
    assert len(teacher.batches) == 5
    assert (cached.cache.statistics.damaged, cached.cache.statistics.misses) == (1, 5)


def test_beyond_float16_nothing_is_lost_and_nothing_kept(tmp_path: Path, images: Tensor) -> None:
    teacher = Counting()
    teacher.factor = 1e6
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    first, second = cached.encode(images), cached.encode(images)
    assert first.abs().max() > 65504
    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert cached.cache.statistics.hits == 0


def test_a_trainer_s_mixed_precision_does_not_reach_what_is_kept(tmp_path: Path, images: Tensor) -> None:
    plain = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "a")).encode(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.allclose(Counting().encode(images), plain, rtol=1e-3, atol=1e-6)
        mixed = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "b")).encode(images)
    assert torch.equal(plain, mixed)


def test_a_cache_too_small_still_gives_every_embedding(tmp_path: Path, images: Tensor) -> None:
    whole = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "a")).encode(images)
    cached = CachedTeacher(Counting(), EmbeddingCache(tmp_path / "b", max_bytes=80_000))
    for _ in range(3):
        assert torch.equal(cached.encode(images), whole)
    assert cached.cache.statistics.evicted > 0
    assert cached.cache.size <= 80_000


@pytest.mark.parametrize("none", [None, "null"])
def test_null_is_no_cache(none: str | None) -> None:
    teacher = Counting()
    assert build_cached_teacher(teacher, none) is teacher
    assert cache_metrics(teacher) == cache_metrics(None) == {}


def test_default_is_the_folder_of_the_environment(
    tmp_path: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABELMINE_CACHE_DIR", str(tmp_path / "here"))
    cached = build_cached_teacher(Counting(), max_gb=0.5)
    for _ in range(3):
        cached.encode(images[:2])
    with caplog.at_level(logging.INFO):
        metrics = cache_metrics(cached)
    size = 2 * (2 * 256 * 8 * 8 + 4)
    assert metrics["embedding_cache"] == {
        "hits": 4, "misses": 2, "damaged": 0, "evicted": 0, "bytes_written": size, "hit_rate": 0.6667, "bytes": size,
    }  # fmt: skip
    assert sum(p.stat().st_size for p in tmp_path.glob("here/*/*") if p.name != "zarr.json") == size
    assert "4 hits, 2 misses (hit rate 0.667), 0 damaged, 0 evicted; 0.00 GB" in caplog.text
    assert isinstance(cached, CachedTeacher)
    assert cached.cache.max_bytes == 0.5e9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_misses_go_in_one_batch_and_stay_on_the_device(tmp_path: Path, images: Tensor) -> None:
    teacher = Counting().cuda()
    cached = CachedTeacher(teacher, EmbeddingCache(tmp_path))
    cached.encode(images[:1].cuda())
    missed = cached.encode(images.cuda())
    assert teacher.batches == [1, 3]
    assert missed.is_cuda
    assert torch.equal(missed, cached.encode(images.cuda()))
    assert torch.equal(missed.cpu(), cached.encode(images))
