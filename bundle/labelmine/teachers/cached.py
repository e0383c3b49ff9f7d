"""A teacher that is paid for once per image."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from labelmine.prompts import Prompts
from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.cache import EmbeddingCache, is_finite
from labelmine.teachers.cache_storage import cache_folder
from labelmine.teachers.image_key import ImageKey, image_key

logger = logging.getLogger(__name__)


class CachedTeacher(Teacher):
    """A teacher whose embeddings are looked up before they are made; all else is the teacher's own.

    Embeddings come as float16 holds them, whether they were found or just made, so that a run gives the same labels
    whatever the cache held when it started.

    Args:
        teacher: The frozen teacher.
        cache: Where its embeddings are kept.
    """

    def __init__(self, teacher: Teacher, cache: EmbeddingCache) -> None:
        """Take the teacher's name and record of training images over."""
        self.teacher = teacher
        self.cache = cache
        self.name = teacher.name
        self.weights_sha256 = teacher.weights_sha256
        self.trained_on = teacher.trained_on
        self.decoder_sha256 = teacher.decoder_sha256
        self.image_size = teacher.image_size

    @property
    def multimask(self) -> bool | None:
        """The teacher's choice among its masks."""
        return self.teacher.multimask

    @multimask.setter
    def multimask(self, value: bool | None) -> None:
        self.teacher.multimask = value

    @cached_property
    def fingerprint(self) -> str:
        """The teacher's; asked for once, as hashing weights takes time."""
        return self.teacher.fingerprint

    @property
    def decoder(self) -> nn.Module | None:
        """The teacher's."""
        return self.teacher.decoder

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return (B, ...) float32 embeddings of (B, 3, H, W) images, on their device; see ``Teacher.encode``."""
        keys = [image_key(image) for image in images.cpu()]
        known = {key: self.cache.read(self.fingerprint, key) for key in dict.fromkeys(keys)}
        missing = {key: position for position, key in enumerate(keys) if known[key] is None}
        if missing:
            known |= self._made(images[list(missing.values())], missing)
        self.cache.statistics.misses += len(missing)
        self.cache.statistics.hits += len(keys) - len(missing)
        return torch.stack([known[key].to(images.device).float() for key in keys])  # type: ignore[union-attr]

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        """Answer as the teacher does; see ``Teacher.decode``."""
        return self.teacher.decode(embeddings, prompts, image_size)

    def _made(self, images: Tensor, keys: Iterable[ImageKey]) -> dict[ImageKey, Tensor | None]:
        """Encode images and keep each embedding as soon as it is there."""
        made: dict[ImageKey, Tensor | None] = {}
        for key, embedding in zip(keys, self._embeddings(images), strict=True):
            rounded = embedding.half()
            self.cache.write(self.fingerprint, key, rounded)
            # Beyond float16's range nothing was kept, so the exact values are what every later visit gets too.
            made[key] = rounded if is_finite(rounded) else embedding
        return made

    def _embeddings(self, images: Tensor) -> Iterator[Tensor]:
        # On a CPU a batch is no faster, and an image's last bits would depend on which others of it were missing.
        for part in torch.split(images, 1 if images.is_cpu else len(images)):
            # A trainer's mixed precision must not decide what is kept; a teacher chooses its own precision.
            with torch.autocast(images.device.type, enabled=False):
                embeddings = self.teacher.encode(part)
            yield from embeddings.cpu()


def build_cached_teacher(teacher: Teacher, cache: str | None = "default", max_gb: float = 20.0) -> Teacher:
    """Return a teacher with the embedding cache that the knobs ``embedding_cache`` and ``cache_gb`` describe.

    Args:
        teacher: The teacher.
        cache: ``default`` (see ``cache_folder``), a folder, or a URL that fsspec knows; None, or the word ``null`` from
            the command line: no cache.
        max_gb: Limit in 10^9 bytes.

    Raises:
        ConfigError: A limit that is not positive, or a URL of no use.
    """
    if cache is None or cache == "null":
        return teacher
    return CachedTeacher(teacher, EmbeddingCache(cache_folder() if cache == "default" else cache, max_gb * 1e9))


def cache_metrics(teacher: Teacher | None) -> dict[str, Any]:
    """Log what a run had from the cache in one line, and return it as the part ``embedding_cache`` of a metrics file.

    Args:
        teacher: The run's teacher; for one without a cache, or None, nothing is logged and the answer is empty.
    """
    if not isinstance(teacher, CachedTeacher):
        return {}
    summary = teacher.cache.summary()
    logger.info(
        "embedding cache: %d hits, %d misses (hit rate %.3f), %d damaged, %d evicted; %.2f GB",
        *(summary[key] for key in ("hits", "misses", "hit_rate", "damaged", "evicted")),
        summary["bytes"] / 1e9,
    )
    return {"embedding_cache": summary}
