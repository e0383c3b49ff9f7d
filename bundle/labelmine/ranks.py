"""Ranks: the processes of one run that ``torchrun`` started, on one machine or many. Without it there is one rank.

``ignite.distributed`` knows rank, world size and collectives; here is only what it lacks. Every rank executes the same
config, so every rank must come by each function below that says "collective": the first to come waits for the others.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import ParamSpec, TypeVar, cast

import ignite.distributed as idist
import torch
from torch.utils.data import DataLoader

from labelmine.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

# One rank may check a million images or draw a report while the others wait; torchrun sees to a rank that died.
PATIENCE = timedelta(days=1)


def join_ranks(backend: str | None = None) -> str:
    """Join the ranks that ``torchrun`` started and return this rank's device; see ``configs/multi_gpu.yaml``.

    Collective. A second call, or one without ``torchrun``, only returns the device. Ranks other than the first log
    nothing below a warning from here on, as all ranks would say the same.

    Args:
        backend: ``nccl`` (a GPU for each rank) or ``gloo`` (CPU); None: nccl where there is a GPU.

    Raises:
        ConfigError: Another backend, or fewer GPUs than ranks on this machine.
    """
    backend = backend or ("nccl" if torch.cuda.is_available() else "gloo")
    if backend not in ("nccl", "gloo"):
        raise ConfigError(f"backend: expected nccl, gloo or null. Got: '{backend}'")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if backend == "nccl" and local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"nccl: expected a GPU for each rank of this machine, found {torch.cuda.device_count()}. Give torchrun a "
            "smaller --nproc_per_node, or --backend gloo to compute on CPUs."
        )
    if _started() > 1 and idist.get_world_size() == 1:
        idist.initialize(backend, timeout=PATIENCE)
        if idist.get_rank() > 0:
            logging.disable(logging.INFO)
    return f"cuda:{local_rank}" if backend == "nccl" else "cpu"


def refuse_unjoined_ranks() -> None:
    """Stop ranks that have not joined each other: each would do all the work and write over the others' files.

    Raises:
        ConfigError: ``torchrun`` started several processes and nobody called ``join_ranks``.
    """
    if _started() > idist.get_world_size():
        raise ConfigError(
            f"torchrun started {_started()} ranks, but they work alone. Add configs/multi_gpu.yaml as the last file "
            "of --config_file, and leave --device to it (--backend gloo for CPUs)."
        )


def gathered(value: T) -> list[T]:
    """Return the value of every rank, by rank; collective. Values are pickled.

    Example:
        >>> gathered({"labelled": 3})
        [{'labelled': 3}]
    """
    if idist.get_world_size() == 1:
        return [value]
    return [one for (one,) in cast(list[tuple[T]], idist.all_gather((value,)))]  # a tuple: numbers would be converted


def on_first_rank(function: Callable[P, T]) -> Callable[P, T]:
    """Let the first rank alone call a function, and give every rank its result; collective.

    An error there ends the first rank, and ``torchrun`` then ends the others.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_unjoined_ranks()
        result = function(*args, **kwargs) if idist.get_rank() == 0 else None
        return cast(T, gathered(result)[0])

    return wrapped


def own_batches(loader: Iterable[T]) -> Iterable[T]:
    """Return the batches that are this rank's to do: every ``world size``-th one; collective.

    Whole batches are dealt out, in the order that the first rank draws, so each batch is what one rank alone would have
    made of it. Only own images are read. All ranks must hold the same list of images; as none goes on before all have
    come, lists that were made of unfinished work before this call are the same.

    Example:
        >>> list(own_batches([["a", "b"], ["c"]]))
        [['a', 'b'], ['c']]
    """
    refuse_unjoined_ranks()
    rank, ranks = idist.get_rank(), idist.get_world_size()
    if ranks == 1:
        return loader
    if not isinstance(loader, DataLoader) or loader.batch_sampler is None:
        idist.barrier()
        return itertools.islice(loader, rank, None, ranks)
    batches = gathered(list(loader.batch_sampler) if rank == 0 else [])[0]
    return DataLoader(
        loader.dataset,
        batch_sampler=batches[rank::ranks],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
    )


def _started() -> int:
    """How many processes torchrun started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))
