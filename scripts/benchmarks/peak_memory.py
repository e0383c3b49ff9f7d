"""Peak memory of ``label`` and ``embed`` for 100 and for 2000 images: flat, as images pass through batch by batch.

Each workflow runs as users run it, in a process of its own, on phantom images made beforehand.

    uv run python scripts/benchmarks/peak_memory.py [--counts 100 2000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from side_by_side import machine, print_verdict

from labelmine.bundle import bundle_root
from labelmine.data import write_phantom_set

BAR = 1.1  # flat: within a tenth
WORKFLOWS = {"embed": ["--image_size", "128"], "label": []}


def peak_mib(workflow: str, folder: Path, images: Path) -> float:
    """Return the peak resident memory in MiB of one run of a workflow."""
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(bundle_root() / "configs" / f"{workflow}.yaml"), "--dataset_dir", str(images)]
    command += ["--output_dir", str(folder / f"{workflow}_{images.parent.name}"), *WORKFLOWS[workflow]]
    # Each run finds the cache empty, or `label` would be spared the encoder.
    environment = {**os.environ, "LABELMINE_CACHE_DIR": str(folder / f"cache_{workflow}_{images.parent.name}")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{workflow} on {images.parent.name} images failed with status {status}")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Run both workflows on both sets and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs=2, default=[100, 2000])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {}
        for count in args.counts:
            write_phantom_set(folder / str(count), count, 0, 0, size=128)
            sets[count] = folder / str(count) / "images"
        peaks = {flow: [peak_mib(flow, folder, sets[count]) for count in args.counts] for flow in WORKFLOWS}
    print(machine())
    for flow, (few, many) in peaks.items():
        print(f"{flow}: {few:.0f} MiB for {args.counts[0]} images, {many:.0f} MiB for {args.counts[1]}")
    ratio = max(many / few for few, many in peaks.values())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mib = {flow: [round(value) for value in values] for flow, values in peaks.items()}
    print_verdict("peak_memory", ratio, BAR, device, at_most=True, images=args.counts, peak_mib=mib)


if __name__ == "__main__":
    main()
