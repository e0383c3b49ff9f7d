"""Where embeddings lie: the folder, bucket or memory that a cache writes to, what it holds, and its dropping."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore

from labelmine.errors import ConfigError

EMBEDDING_KEY = re.compile(r"[0-9a-f]{16}/\d+(\.0)+")  # of an array's folder, one chunk
TORN_AFTER = 3600  # seconds after which an unfinished write is held for that of a killed process


def cache_folder() -> Path:
    """Where embeddings are kept by default: ``$LABELMINE_CACHE_DIR``, else ``labelmine/embeddings`` beside torch's hub.

    Example:
        >>> cache_folder().name != ""
        True
    """
    override = os.environ.get("LABELMINE_CACHE_DIR")
    return Path(override).expanduser() if override else Path(torch.hub.get_dir()) / "labelmine" / "embeddings"


def open_store(place: str | Path | Store) -> Store:
    """Return the zarr store of a place.

    Args:
        place: A folder, made for its owner alone, as embeddings come from patients' images; a URL that fsspec knows
            (``s3://bucket/folder``, ``memory://name``); or a ready zarr store.

    Raises:
        ConfigError: For a URL that fsspec does not know, or lacks a package for.
    """
    if isinstance(place, Store):
        return place
    name = str(place).removeprefix("file://")  # LocalStore writes atomically, which fsspec's local files do not
    if "://" in name:
        return _remote_store(name)
    folder = Path(name).expanduser()
    with suppress(OSError):  # the first write will say so; a run needs no cache
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LocalStore(folder)


def describe_array(store: Store, name: str, **description: Any) -> None:
    """Write the metadata of an array, as ``zarr.create_array`` would, over whatever metadata are there.

    That is one whole write of the same bytes by whichever process: several may begin an array at once, damaged metadata
    are mended, and chunks that are there stay.
    """
    drawn = MemoryStore()
    zarr.create_array(drawn, name=name, **description)
    metadata = sync(drawn.get(f"{name}/zarr.json", default_buffer_prototype()))
    if metadata is not None:
        sync(store.set(f"{name}/zarr.json", metadata))


def embedding_keys(store: Store) -> list[str]:
    """Return the keys of all embeddings in a store."""

    async def matching() -> list[str]:
        return [key async for key in store.list_prefix("") if EMBEDDING_KEY.fullmatch(key)]

    return sync(matching())


def delete_keys(store: Store, keys: list[str]) -> None:
    """Delete embeddings; those that are gone already are no error."""

    async def delete_all() -> None:
        await asyncio.gather(*(store.delete(key) for key in keys))

    sync(delete_all())


def delete_torn_writes(store: Store) -> None:
    """Delete what killed processes left half written in a local store; other stores leave nothing."""
    if not isinstance(store, LocalStore):
        return
    for path in store.root.glob("*/*.partial"):
        with suppress(FileNotFoundError):  # finished, or another process was quicker
            if time.time() - path.stat().st_mtime > TORN_AFTER:
                path.unlink()


def free_bytes(store: Store) -> int | None:
    """Return the free bytes of a local store's disk; None for other stores."""
    if not isinstance(store, LocalStore) or not store.root.is_dir():
        return None
    return shutil.disk_usage(store.root).free


def _remote_store(url: str) -> Store:
    scheme = url.split("://")[0]
    try:
        return FsspecStore.from_url(url)
    except ValueError as error:
        raise ConfigError(
            f"embedding_cache: expected a folder or a URL that fsspec knows (s3://, gs://, memory://, ...). "
            f"Got the scheme '{scheme}://'."
        ) from error
    except ImportError as error:
        raise ConfigError(f"embedding_cache: '{scheme}://' needs another package: {error}.") from error
