"""The embedding cache: what a frozen teacher made of an image, kept by the image's content.

A zarr array per teacher and image size, one chunk (one file) per image. An image's row is the hash of its pixels, so
there is no index to keep, and since each write is one whole chunk, any number of processes may write without a lock.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec

from labelmine.errors import ConfigError
from labelmine.teachers.cache_storage import (
    delete_keys,
    delete_torn_writes,
    describe_array,
    embedding_keys,
    free_bytes,
    open_store,
)
from labelmine.teachers.image_key import ROW_BITS, ImageKey

logger = logging.getLogger(__name__)

LAYOUT = "labelmine embeddings 1"  # part of every array's name: another layout begins anew
CHECKSUM_BYTES = 4
KEPT_SHARE = 0.9  # of the limit, after embeddings were dropped
COUNT_AGAIN = 0.05  # of the limit, written: then others may have written as much, so the store is counted again


@dataclass
class CacheStatistics:
    """What one run had from the cache.

    Attributes:
        hits: Images whose embedding was there.
        misses: Images that the teacher had to encode.
        damaged: Embeddings, among the misses, that were there but failed verification; they were made again.
        evicted: Embeddings dropped to keep the limit.
        bytes_written: Bytes of new embeddings.
    """

    hits: int = 0
    misses: int = 0
    damaged: int = 0
    evicted: int = 0
    bytes_written: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits per image asked for; 0 before the first."""
        return self.hits / max(self.hits + self.misses, 1)


class EmbeddingCache:
    """Embeddings as float16, verified by a checksum when they are read.

    Beyond ``max_bytes`` embeddings are dropped at random, down to 90 % of it. Epochs go round and round through the
    same images: there, dropping the least recently used never hits once the set is larger than the cache, while
    dropping at random keeps the hit rate near the share that fits, and needs no record of uses that processes share.

    A cache never stops a run: where it cannot write (disk full, no permission) it says so once and only reads.

    Args:
        place: Folder, fsspec URL or zarr store; see ``open_store``.
        max_bytes: Limit of all embeddings there together.

    Raises:
        ConfigError: A limit that is not positive, or a URL of no use.
    """

    def __init__(self, place: str | Path | Store, max_bytes: float = 20e9) -> None:
        """Open the place; nothing is read or counted yet."""
        if not max_bytes > 0:
            raise ConfigError(
                f"cache_gb: expected more than 0; for no cache set embedding_cache to null. Got: {max_bytes / 1e9:g}"
            )
        self.store = open_store(place)
        self.max_bytes = max_bytes
        self.writable = True
        self.statistics = CacheStatistics()
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._size: int | None = None
        self._uncounted = 0.0

    @property
    def size(self) -> int:
        """Bytes of all embeddings there, by the last count and what this process wrote since."""
        if self._size is None:
            try:
                self._count()
            except Exception as error:  # see write
                logger.warning("the embedding cache cannot be listed (%s); its size is not known", type(error).__name__)
                self._size = 0
        return self._size or 0

    @property
    def free(self) -> int | None:
        """Free bytes of the disk; None where the cache is on no local disk."""
        return free_bytes(self.store)

    def read(self, fingerprint: str, key: ImageKey) -> Tensor | None:
        """Return an embedding as float16 on the CPU; None where it is missing or damaged (which is counted)."""
        array = self._array(_folder(fingerprint, key))
        if array is None:
            return None
        try:
            embedding = torch.from_numpy(np.asarray(array[key.row]))
        except Exception as error:  # a wrong checksum, but each kind of store also has errors of its own
            logger.debug("an embedding cannot be read and is made again: %s", type(error).__name__)
            self.statistics.damaged += 1
            return None
        if is_finite(embedding):
            return embedding
        if not bool(embedding.isnan().all()):  # all NaN: never written
            self.statistics.damaged += 1
        return None

    def write(self, fingerprint: str, key: ImageKey, embedding: Tensor) -> None:
        """Keep a float16 embedding; one that is not finite, as float16 reaches to 65504 only, is not kept."""
        if not self.writable or not is_finite(embedding):
            return
        try:
            values = embedding.numpy()
            self._array_for(fingerprint, key, values.shape)[key.row] = values
            self._make_room(values.nbytes + CHECKSUM_BYTES)
        except Exception as error:  # each kind of store has errors of its own, and none is worth a run
            self.writable = False
            reason = getattr(error, "strerror", None) or error  # an OSError's text would name the user's folder
            logger.warning(
                "the embedding cache cannot be written (%s: %s); this run goes on without writing to it",
                type(error).__name__, reason,
            )  # fmt: skip

    def summary(self) -> dict[str, float]:
        """Return the statistics, hit rate and size in bytes, counted anew, for ``metrics.json``."""
        self._size = None
        return {**asdict(self.statistics), "hit_rate": round(self.statistics.hit_rate, 4), "bytes": self.size}

    def _array(self, folder: str) -> zarr.Array[Any] | None:
        if folder not in self._arrays:
            try:
                self._arrays[folder] = zarr.open_array(self.store, path=folder, mode="r+")
            except Exception:  # not there yet, or its description is damaged: the first write begins it (anew)
                return None
        return self._arrays[folder]

    def _array_for(self, fingerprint: str, key: ImageKey, shape: tuple[int, ...]) -> zarr.Array[Any]:
        folder = _folder(fingerprint, key)
        array = self._array(folder)
        if array is None or array.shape[1:] != shape:  # not begun, or its description is damaged
            describe_array(
                self.store,
                folder,
                shape=(2**ROW_BITS, *shape),
                chunks=(1, *shape),
                dtype="float16",
                fill_value=np.nan,
                compressors=[Crc32cCodec()],
                chunk_key_encoding={"name": "v2", "separator": "."},  # flat: one file per image
                attributes={"fingerprint": fingerprint, "image_shape": list(key.shape)},
            )
            array = self._arrays[folder] = zarr.open_array(self.store, path=folder, mode="r+")
        return array

    def _make_room(self, written: int) -> None:
        self.statistics.bytes_written += written
        self._uncounted += written
        self._size = None if self._size is None else self._size + written
        if self.size > self.max_bytes or self._uncounted > self.max_bytes * COUNT_AGAIN:
            self._drop(self._count())

    def _count(self) -> dict[str, int]:
        """Measure the store; return each embedding's bytes by key."""
        delete_torn_writes(self.store)
        keys = embedding_keys(self.store)
        arrays = {folder: self._array(folder) for folder in {key.split("/")[0] for key in keys}}
        # All chunks of an array are equally long, so there is no need to ask for each.
        bytes_of = {n: 2 * math.prod(a.chunks) + CHECKSUM_BYTES for n, a in arrays.items() if a is not None}
        sizes = {key: bytes_of.get(key.split("/")[0], 0) for key in keys}
        self._size, self._uncounted = sum(sizes.values()), 0
        return sizes

    def _drop(self, sizes: dict[str, int]) -> None:
        if self.size <= self.max_bytes:
            return
        left, dropped = self.size, []
        for key in random.Random().sample(sorted(sizes), len(sizes)):  # not the global generator: runs stay as seeded
            if left <= self.max_bytes * KEPT_SHARE:
                break
            left -= sizes[key]
            dropped.append(key)
        delete_keys(self.store, dropped)
        self._size = left
        self.statistics.evicted += len(dropped)


def _folder(fingerprint: str, key: ImageKey) -> str:
    """Return the name of the array for a teacher and an image size, which together decide the embedding's shape."""
    return hashlib.sha256(f"{LAYOUT}|{fingerprint}|{key.shape}".encode()).hexdigest()[:16]


def is_finite(embedding: Tensor) -> bool:
    """Whether a float16 tensor holds finite values only."""
    # float32 holds the sum of any float16 values; this is some ten times as fast as asking each.
    return bool(embedding.float().sum().isfinite())
