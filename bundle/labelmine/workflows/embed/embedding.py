"""Fill the embedding cache ahead of a run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import ClassVar

import ignite.distributed as idist
import torch
from torch import Tensor

from labelmine.data import ImageSet, find_images
from labelmine.errors import ConfigError
from labelmine.evaluation import write_metrics
from labelmine.progress import ProgressLine
from labelmine.ranks import gathered, own_batches
from labelmine.run.files import METRICS_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import CacheKnobs, Count, ImageKnobs, NotNegative, RunKnobs, ViewSize
from labelmine.teachers import CachedTeacher, EmbeddingCache, Teacher, build_cached_teacher, cache_metrics
from labelmine.teachers.cache import CHECKSUM_BYTES, CacheStatistics
from labelmine.training import student_loader, view_dataset
from labelmine.transforms import teacher_images

logger = logging.getLogger(__name__)

Batch = Mapping[str, Tensor]


class EmbedKnobs(RunKnobs, ImageKnobs, CacheKnobs):
    """The knobs of ``configs/embed.yaml``."""

    workflow: ClassVar[str] = "embed"

    image_size: ViewSize
    batch_size: Count
    num_workers: NotNegative


class Embedding:
    """Put the embeddings of all images into the teacher's cache; what is there already is only verified.

    Killed at any moment and started again, it goes on where it stopped. Several ranks (see ``labelmine.ranks``) share
    the batches. Writes ``metrics.json``.

    Args:
        knobs: Of the workflow.
        teacher: Encodes.

    Raises:
        ConfigError: The teacher has no cache, or its cache cannot be written.
    """

    def __init__(self, knobs: EmbedKnobs, teacher: Teacher) -> None:
        """Open the cache."""
        self.knobs = knobs
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow)
        cached = build_cached_teacher(teacher, knobs.embedding_cache, knobs.cache_gb)
        if not isinstance(cached, CachedTeacher):
            raise ConfigError("embedding_cache: embed fills the cache, so it expects a folder or a URL. Got: null")
        self.teacher = cached

    def embed(self) -> None:
        """Encode all images."""
        images = self.folder.stage("data", self._find)
        started = time.perf_counter()
        self.folder.stage("embed", lambda: self._embed(images))
        if idist.get_rank() > 0:
            return
        seconds = time.perf_counter() - started
        figures = {"dataset": images.name, "seed": self.knobs.seed, **images.summary, **cache_metrics(self.teacher)}
        rate = {"images_per_second": round(len(images.items) / seconds, 2), "seconds": self.folder.seconds}
        write_metrics(self.folder.path / METRICS_FILE, {**figures, **rate})

    def _find(self) -> ImageSet:
        knobs = self.knobs
        return find_images(
            knobs.dataset_dir,
            knobs.output_dir,
            window=knobs.window,
            slice_axis=knobs.slice_axis,
            mask_pattern=knobs.mask_pattern,
        )

    def _embed(self, images: ImageSet) -> None:
        knobs = self.knobs
        views = view_dataset(images.items, images, knobs.image_size, cache_num=0, teacher_size=self.teacher.image_size)
        loader = student_loader(views, knobs.batch_size, shuffle=False, num_workers=knobs.num_workers)
        _fill(own_batches(loader), self.teacher, len(images.items), torch.device(knobs.device))
        _count_all_ranks(self.teacher.cache.statistics)


def _count_all_ranks(statistics: CacheStatistics) -> None:
    """Add up what all ranks had from the cache."""
    ranks = [asdict(own) for own in gathered(statistics)]
    for name in asdict(statistics):
        setattr(statistics, name, sum(rank[name] for rank in ranks))


def _fill(loader: Iterable[Batch], teacher: CachedTeacher, n_images: int, device: torch.device) -> None:
    statistics = teacher.cache.statistics
    encoding_batches = done = 0
    share = -(-n_images // idist.get_world_size())
    with ProgressLine("embed", "image", share) as line:
        for batch in loader:
            started, misses = time.perf_counter(), statistics.misses
            embeddings = teacher.encode(teacher_images(batch).to(device))
            if done == 0 and idist.get_rank() == 0:
                warn_of_size(n_images, embeddings[0].numel() * 2 + CHECKSUM_BYTES, teacher.cache)
            if not teacher.cache.writable:
                raise ConfigError(
                    "embedding_cache: cannot be written, as said above, and to fill it is all that embed does. Give "
                    "--embedding_cache a folder with room, which you may write to."
                )
            done += len(embeddings)
            line.update(len(embeddings))
            encoded = statistics.misses - misses
            encoding_batches += encoded > 0
            # The first batch that is encoded pays for warming up too; a set of one batch needs no estimate.
            if encoded and encoding_batches == 2:
                seconds = (time.perf_counter() - started) / encoded
                left = max(share - done, 0)
                logger.info("%.3g s per image: at most %.1f min for the %d left", seconds, left * seconds / 60, left)


def warn_of_size(n_images: int, bytes_each: int, cache: EmbeddingCache) -> None:
    """Say how large the embeddings of all images are, and what they do not fit into."""
    total = n_images * bytes_each
    logger.info("%d images, %.2f MiB each: %.2f GiB", n_images, bytes_each / 2**20, total / 2**30)
    if total > cache.max_bytes:
        logger.warning(
            "cache_gb: the embeddings of %d images take %.3g GB, above the limit of %.3g GB, so that a part of them "
            "will be dropped and made again at each visit. Give --cache_gb %d, to this and to the later run.",
            n_images, total / 1e9, cache.max_bytes / 1e9, int(total * 1.05 / 1e9) + 1,
        )  # fmt: skip
    needed = min(total, cache.max_bytes) - cache.size
    if cache.free is not None and needed > cache.free:
        logger.warning(
            "the cache's disk has %.3g GB free, but up to %.3g GB are to be written: give --embedding_cache a folder "
            "on a larger disk, or a smaller --cache_gb.",
            cache.free / 1e9, needed / 1e9,
        )  # fmt: skip
