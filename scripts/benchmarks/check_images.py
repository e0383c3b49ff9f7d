"""Checking an image set and finding its near-duplicates: tiny images, made; seconds, memory, equal pairs.

Files: each is opened, decoded and hashed by one thread, by threads (as labelmine does) and by processes.
Pairs: random hashes with copies among them, searched by counting bits in numpy, by faiss's hash tables (exact: with
a bit in 5 free to differ, each of 32 words is looked up with up to 2 bits turned) and by labelmine.

    uv run python scripts/benchmarks/check_images.py [--images 2000] [--hashes 2000 20000] [--ours_alone 200000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from side_by_side import Comparison, machine, print_verdict, time_side_by_side

from labelmine.data import Item, check_items, find_items, near_duplicates, read_image
from labelmine.data.duplicates import MAX_DISTANCE, image_hash
from labelmine.data.hash_pairs import _by_numpy, close_pairs

BAR = 3.0
BITS, WORD, TURNED = 512, 16, 2
TABLES_UP_TO = 2000
Pairs = set[tuple[int, int]]


def make_hashes(count: int) -> NDArray[np.uint64]:
    """Random hashes; each twentieth is a copy of another with up to 120 bits turned."""
    rng = np.random.default_rng(0)
    bits = np.unpackbits(rng.integers(0, 256, (count, BITS // 8), dtype=np.uint8), axis=1)
    for copy in range(0, count, 20):
        bits[copy] = bits[(copy + count // 2 + 1) % count]
        bits[copy, rng.choice(BITS, rng.integers(0, 121), replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


def make_images(folder: Path, count: int, side: int = 64) -> Path:
    """Write enlarged noise with a mask each: no two are alike."""
    rng = np.random.default_rng(0)
    mask = Image.fromarray(np.pad(np.full((side // 2, side // 2), 255, np.uint8), side // 4))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        noise.resize((side, side)).save(folder / f"images/{number:06d}.png")
        mask.save(folder / f"masks/{number:06d}.png")
    return folder


def by_tables(hashes: NDArray[np.uint64]) -> Pairs:
    """Search faiss's hash tables: of 32 words of 16 bits one differs in at most 2, as 90 bits differ in all."""
    content = hashes.view(np.uint8)
    index = faiss.IndexBinaryMultiHash(BITS, BITS // WORD, WORD)
    index.nflip = TURNED
    index.add(content)
    limits, _, position = index.range_search(content, MAX_DISTANCE + 1)
    query = np.repeat(np.arange(len(content)), np.diff(limits.astype(np.int64)))
    return {(int(i), int(j)) for i, j in zip(position, query, strict=True) if i < j}


def by_numpy(hashes: NDArray[np.uint64]) -> Pairs:
    """Count bits of all pairs."""
    return {pair for i, j, _ in _by_numpy(hashes, MAX_DISTANCE) for pair in zip(i.tolist(), j.tolist(), strict=True)}


def ours(hashes: NDArray[np.uint64]) -> Pairs:
    """Search as labelmine does."""
    first, second, _ = close_pairs(hashes, MAX_DISTANCE)
    return set(zip(first.tolist(), second.tolist(), strict=True))


def compare_search(count: int, rounds: int) -> Comparison:
    """Time the searches and refuse to go on where they find other pairs."""
    hashes = make_hashes(count)
    searches: dict[str, Callable[[NDArray[np.uint64]], Pairs]] = {"numpy": by_numpy, "labelmine": ours}
    if count <= TABLES_UP_TO:
        searches["faiss's tables"] = by_tables
    found = {name: search(hashes) for name, search in searches.items()}
    if any(pairs != found["labelmine"] for pairs in found.values()):
        raise SystemExit(f"{count} hashes: the searches found { ({name: len(p) for name, p in found.items()}) } pairs")
    sides = {name: (lambda search=search: search(hashes)) for name, search in searches.items()}
    seconds = time_side_by_side(sides, rounds, warm_up=0)
    for name, values in seconds.items():
        by = Comparison.of(values, seconds["labelmine"])
        print(f"{count} hashes, {len(found[name])} pairs, {name}: {min(values):.2f} s, by labelmine's {by}", flush=True)
    return Comparison.of(seconds["numpy"], seconds["labelmine"])


def _read_and_hash(item: Item) -> NDArray[np.uint64] | None:
    return image_hash(read_image(item))


def compare_reading(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Time reading and hashing by threads and processes; forked, as each fresh one would import torch first."""
    items, cores = find_items(folder), os.cpu_count() or 1

    def by(pool: Callable[[], ThreadPoolExecutor | ProcessPoolExecutor]) -> Callable[[], None]:
        def read_all() -> None:
            with pool() as workers:
                list(workers.map(_read_and_hash, items, chunksize=64))

        return read_all

    fork = multiprocessing.get_context("fork")
    sides = {
        "one thread": by(lambda: ThreadPoolExecutor(1)),
        f"{cores} threads": by(lambda: ThreadPoolExecutor(cores)),
        f"{cores} processes": by(lambda: ProcessPoolExecutor(cores, mp_context=fork)),
    }
    return time_side_by_side(sides, rounds, warm_up=0)


def check(folder: Path) -> dict[str, float]:
    """Run the whole check once: seconds of each part."""
    start = time.perf_counter()
    items = find_items(folder)
    found = time.perf_counter()
    checked = check_items(items, folder / "quarantine.csv")
    opened = time.perf_counter()
    near_duplicates(checked.items, read_image)
    return {"find": found - start, "open": opened - found, "near_duplicates": time.perf_counter() - opened}


def peak_mib() -> float:
    """Return the peak resident memory of this process so far in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Compare the searches, the ways to read, and time the whole check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[2000], help="sizes of the sets of files")
    parser.add_argument("--hashes", type=int, nargs="+", default=[2000, 20000], help="sizes of the compared searches")
    parser.add_argument("--ours_alone", type=int, nargs="*", default=[], help="sizes of searches by labelmine alone")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    searches = {count: compare_search(count, args.rounds) for count in args.hashes}
    for count in args.ours_alone:
        hashes, before = make_hashes(count), peak_mib()
        start = time.perf_counter()
        pairs = len(ours(hashes))
        seconds = time.perf_counter() - start
        print(
            f"{count} hashes, {pairs} pairs, labelmine: {seconds:.1f} s, {peak_mib() - before:.0f} MiB more", flush=True
        )
    parts = {}
    with tempfile.TemporaryDirectory() as name:
        for count in args.images:
            folder = make_images(Path(name) / str(count), count)
            parts[count] = check(folder)
            shown = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts[count].items())
            print(f"{count} images of 64 px with masks: {shown}; peak memory {peak_mib():.0f} MiB", flush=True)
        reading = compare_reading(Path(name) / str(min(args.images)), args.rounds)
    for way, values in reading.items():
        by = Comparison.of(reading["one thread"], values)
        print(f"{min(args.images)} images read and hashed by {way}: {min(values):.2f} s, one thread by it {by}")
    gain = searches[max(searches)]
    print_verdict("check_images", gain.ratio, BAR, "cpu", spread=gain.spread, seconds=parts[max(parts)])


if __name__ == "__main__":
    main()
