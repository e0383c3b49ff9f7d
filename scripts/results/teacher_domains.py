"""What a compact teacher is worth on kinds of images that it never saw: folds of domains, or a finished teacher.

Each fold goes on from ``--start`` with all domains but its own, for a short training, and is examined on its own:
jittered boxes around gold objects, as in ``models/README.md``. A row of ``docs/results/teacher_domains.csv`` is written
as a domain ends; those that stand there are not done again.

uv run python scripts/results/teacher_domains.py folds ../shared/data/diet --others ../shared/data/cvc_clinicdb phantom
uv run python scripts/results/teacher_domains.py exam ../shared/data --teachers general compact --names kvasir_seg busi
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from labelmine.bundle import bundle_root
from labelmine.teachers import build_compact_teacher
from labelmine.workflows.train_teacher import exam_samples, prompted_dice, views_of_objects

TABLE = Path(__file__).parents[2] / "docs" / "results" / "teacher_domains.csv"


def main() -> None:
    """Train folds and examine them, or examine finished teachers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["folds", "exam"])
    parser.add_argument("folder", type=Path, help="a folder of image sets with masks")
    parser.add_argument("--names", nargs="*", help="the sets; all of the folder by default")
    parser.add_argument("--teachers", nargs="*", default=["compact_no_busi"], help="exam: names or files")
    parser.add_argument("--others", nargs="*", default=[], help="folds: sets that all folds train on besides")
    parser.add_argument("--start", default="compact_no_busi", help="folds: the teacher that each goes on from")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300, help="folds: training steps of each")
    parser.add_argument("--work", type=Path, default=Path("output/teacher_domains"), help="folds: where they train")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    names = args.names or sorted(path.name for path in args.folder.iterdir() if path.is_dir())
    if args.what == "exam":
        for name in names:
            for teacher in args.teachers:
                examine(args.folder / name, teacher, Path(teacher).stem, args.seed)
        return
    for number in range(args.folds):
        held_out = names[number :: args.folds]
        trained = [str(args.folder / name) for name in names if name not in held_out] + args.others
        teacher = train(trained, args.start, args.steps, args.work / f"fold_{number}", args.seed)
        for name in held_out:
            examine(args.folder / name, args.start, args.start, args.seed)
            examine(args.folder / name, str(teacher), f"other domains, {args.steps} steps", args.seed)


def train(dataset_dirs: list[str], start: str, steps: int, folder: Path, seed: int) -> Path:
    """Train a teacher, unless it is there, and return its file."""
    file = folder / "teacher.safetensors"
    if not file.is_file():
        knobs = {"dataset_dirs": dataset_dirs, "initial_teacher": start, "max_epochs": steps // 100, "seed": seed}
        given = [part for name, value in knobs.items() for part in (f"--{name}", str(value))]
        config = str(bundle_root() / "configs" / "train_teacher.yaml")
        command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--output_dir", str(folder)]
        subprocess.run([*command, *given], check=True)
    return file


def examine(dataset_dir: Path, teacher: str, title: str, seed: int) -> None:
    """Add a row to the table, unless it is there."""
    table = pd.read_csv(TABLE) if TABLE.is_file() else pd.DataFrame(columns=["set", "teacher"])
    if ((table["set"] == dataset_dir.name) & (table["teacher"] == title)).any():
        return
    examined = build_compact_teacher(teacher)
    samples = exam_samples(str(dataset_dir), views_of_objects(examined.image_size))
    marks = prompted_dice(examined, samples or [], seed=seed)
    row: dict[str, Any] = {"set": dataset_dir.name, "teacher": title}
    row |= {"n": marks["dice"]["n"], "dice": round(marks["dice"]["mean"], 4), "std": round(marks["dice"]["std"], 4)}
    row |= {"box_dice": round(marks["box_dice"]["mean"], 4), "seed": seed}
    pd.concat([table, pd.DataFrame([row])]).to_csv(TABLE, index=False)
    print(row, flush=True)


if __name__ == "__main__":
    main()
