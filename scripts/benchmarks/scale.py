"""Time and peak memory of each stage of ``mine`` and ``label`` at 1,000 and at 10,000 made images of 32 px.

Images, student (one step) and teacher (untrained, 64 px) are tiny, so that what is seen is what labelmine itself does
for an image: finding, checking, files, journals, checksums, figures. Each workflow runs as users run it.

    uv run python scripts/benchmarks/scale.py [--counts 1000 10000] [--workflows mine label]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from side_by_side import machine

from labelmine.data import write_phantom_set
from labelmine.teachers import CompactTeacher, save_compact_teacher

POLL_SECONDS = 0.1
STUDENT = (
    "--image_size 32 --batch_size 16 --max_epochs 1 --steps_per_epoch 1 --encoder mobilenet_v2 --encoder_weights null"
)
GOLD = 60  # masks that train; as many validate and test
RECIPE = f"--device cpu --min_score 0 --tta false --embedding_cache null --fit_steps 0 --folds 0 {STUDENT}"


def stages_of(command: Sequence[str], output: Path) -> dict[str, tuple[float, float]]:
    """Run a workflow; return seconds and peak MiB of resident memory of each stage, by what its log says."""
    process = subprocess.Popen([sys.executable, "-m", "labelmine", *command, "--output_dir", str(output)])
    seconds: dict[str, float] = defaultdict(float)
    peaks: dict[str, float] = defaultdict(float)
    stage, before = "start", time.perf_counter()
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        now = time.perf_counter()
        seconds[stage] += now - before
        peaks[stage] = max(peaks[stage], _resident_mib(process.pid))
        before, stage = now, _last_stage(output / "run.log") or stage
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with status {process.returncode}")
    return {name: (seconds[name], peaks[name]) for name in seconds}


def _resident_mib(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def _last_stage(log: Path) -> str:
    lines = log.read_text().splitlines() if log.is_file() else []
    return next((line.rsplit(" ", 1)[1] for line in reversed(lines) if " stage " in line), "")


def main() -> None:
    """Run the workflows on sets of both sizes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--workflows", nargs="+", default=["mine", "label"])
    args = parser.parse_args()
    print(machine())
    print(
        "| workflow | images | stage | seconds | ms an image | peak MiB |\n| -- | -- | -- | -- | -- | -- |", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LABELMINE_CACHE_DIR"] = str(folder / "cache")
        torch.manual_seed(0)
        teacher = ["--teacher_weights", str(save_compact_teacher(CompactTeacher(64), folder / "teacher.safetensors"))]
        for count in args.counts:
            write_phantom_set(folder / str(count), count, 0, 0, size=32)
            (folder / str(count) / "dataset.csv").unlink()
            images, share = str(folder / str(count)), GOLD / count
            split = f"--labeled_fraction {GOLD / (count - 2 * GOLD)} --val_fraction {share} --test_fraction {share}"
            model = folder / f"mine_{count}"
            commands = {
                "mine": ["mine", images, *split.split(), *RECIPE.split(), *teacher],
                "label": ["label", images, "--model_dir", str(model), "--device", "cpu", *teacher,
                          "--embedding_cache", "null", "--min_score", "0", "--tta", "false"],
            }  # fmt: skip
            for workflow in args.workflows:
                for stage, (seconds, peak) in stages_of(commands[workflow], folder / f"{workflow}_{count}").items():
                    each = 1000 * seconds / count
                    print(f"| `{workflow}` | {count} | {stage} | {seconds:.1f} | {each:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
