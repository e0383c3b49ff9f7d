"""Kill a workflow with SIGKILL at random moments, resume it, and compare what it ends with to a run left in peace.

    uv run python scripts/kill_and_resume.py mine_one_time|mine_continuous|embed [--kills 20] [--seed 0]

A run is killed and started again until it comes to its end; then the next run begins, until the kills are used up.
Each must end with the labels of the undisturbed run, byte by byte: masks and manifest, the student's weights and the
learning curve without its times; for ``embed`` the embeddings. Exits with 1 where one does not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import monai.bundle

# Imported once, here, for all the runs that are forked.
import labelmine.workflows.embed
import labelmine.workflows.mine  # noqa: F401
from labelmine.bundle import bundle_root
from labelmine.data import write_phantom_set

SMALL = {"image_size": 64, "max_epochs": 6, "steps_per_epoch": 5, "device": "cpu"}
CONTINUOUS = {"schedule": "continuous", "relabel_every": 2, "ema_decay": 0.9}
WORKFLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "mine_one_time": ("mine", SMALL),
    "mine_continuous": ("mine", {**SMALL, **CONTINUOUS}),
    "embed": ("embed", {"image_size": 64, "device": "cpu"}),
}
EMBEDDED_IMAGES = 300
# Forked from here, where torch and MONAI are imported already, a run needs no half minute to begin.
FORK = multiprocessing.get_context("fork")


def run(workflow: str, output: Path, cache: Path, images: Path) -> None:
    """Run a workflow, its output in a log beside its folder."""
    log = output.with_suffix(".log").open("ab")
    for stream in (1, 2):
        os.dup2(log.fileno(), stream)
    os.environ["LABELMINE_CACHE_DIR"] = str(cache)
    config, knobs = WORKFLOWS[workflow]
    data = {"dataset_dir": str(images)} if config == "embed" else {}
    monai.bundle.run(config_file=f"{bundle_root()}/configs/{config}.yaml", output_dir=str(output), **knobs, **data)


def disturbed(workflow: str, output: Path, cache: Path, images: Path, after: float) -> bool:
    """Start a workflow and kill it after so many seconds; return whether it was still running."""
    process = FORK.Process(target=run, args=(workflow, output, cache, images))
    process.start()
    process.join(after)
    if process.is_alive():
        process.kill()
        process.join()
        return True
    if process.exitcode != 0:
        raise SystemExit(f"the workflow failed: {output.with_suffix('.log').read_text()[-2000:]}")
    return False


def outcome(output: Path, cache: Path, workflow: str) -> dict[str, str]:
    """Return the digests of all that must not depend on kills, by file."""
    if workflow == "embed":
        # What a kill tore is a *.partial file: no reader takes it for an embedding, and the cache removes it in time.
        embeddings = [p for p in sorted(cache.rglob("*")) if p.is_file() and p.suffix != ".partial"]
        return {p.name: _sha256(p.read_bytes()) for p in embeddings}
    files = [
        *sorted((output / "labels" / "masks").iterdir()),
        output / "model.safetensors",
        output / "labels/manifest.csv",
    ]
    found = {str(p.relative_to(output)): _sha256(p.read_bytes()) for p in files}
    for name in ("supervised/history.csv", "mined/history.csv"):
        rows = [line.rsplit(",", 1)[0] for line in (output / name).read_text().splitlines()]  # the last column: seconds
        found[name] = _sha256("\n".join(rows).encode())
    return found


def main() -> None:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workflow", choices=sorted(WORKFLOWS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "phantom" / "images"
        if args.workflow == "embed":
            write_phantom_set(folder / "phantom", EMBEDDED_IMAGES, 0, 0, size=64)
        began = time.perf_counter()
        disturbed(args.workflow, folder / "peace", folder / "peace_cache", images, after=3600)
        duration = time.perf_counter() - began
        expected = outcome(folder / "peace", folder / "peace_cache", args.workflow)

        kills, runs, moments, differing = 0, 0, [], []
        while kills < args.kills:
            runs += 1
            output, cache = folder / f"run_{runs}", folder / f"cache_{runs}"
            running = True
            while running:
                after = draw.uniform(0, duration) if kills < args.kills else 3600
                running = disturbed(args.workflow, output, cache, images, after)
                kills += running
                moments += [round(after, 1)] * running
            found = outcome(output, cache, args.workflow)
            differing += [f"run {runs}: {key}" for key in expected | found if expected.get(key) != found.get(key)]
            print(f"run {runs} ended after {kills} kills in all; {len(found)} files compared", flush=True)
    result = {"workflow": args.workflow, "kills": kills, "runs": runs, "undisturbed_seconds": round(duration, 1)}
    print(json.dumps({**result, "killed_after_seconds": moments, "differing": differing}))
    raise SystemExit(1 if differing else 0)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
