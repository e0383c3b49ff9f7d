"""What a review is worth, by the order in which labels are looked at: a simulated reviewer, made of hidden gold.

    uv run python scripts/results/review_order.py NAME RUN --masks_dir MASKS [--dataset_dir DIR] [--model_dir STUDENT]

RUN holds labels (mine or label). The reviewer goes through all of them once, in the session of the page: accepts what
has a Dice of 0.9 with gold, asks the run's teacher about the rest by a box and up to two clicks, and draws what that
does not find. Written are docs/results/review_order.csv (per order and seed the mean Dice of all labels, and the
minutes, after a part of the reviews) and review_labels_NAME.csv beside RUN (a row per label).

With ``--students 40 ...`` a student is also trained after so many reviews of each order, and one after none:

    uv run python scripts/results/review_order.py NAME RUN --masks_dir MASKS --students 40 -- --dataset_dir DIR ...

What follows ``--`` goes to ``labelmine mine``, and should be what RUN was made with. Each student's test Dice is a row
of docs/results/review_students.csv as soon as it is there; a run that is begun again goes on with those that lack.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from labelmine.data import read_mask
from labelmine.exchange.decisions import DecisionLog
from labelmine.progress import progress
from labelmine.review.simulated import SimulatedReviewer, curve, review_all
from labelmine.workflows.review import Review, ReviewKnobs

CSV = Path(__file__).resolve().parents[2] / "docs" / "results" / "review_order.csv"
STUDENTS_CSV = CSV.with_name("review_students.csv")
STUDENT_COLUMNS = ("dataset", "order", "seed", "reviews", "dice", "kept", "mine")
SEEDS = (0, 1, 2)
PARTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def session_of(args: argparse.Namespace, out: Path) -> tuple[Review, SimulatedReviewer]:
    """Open the run as the page does; its decisions go into a folder of their own."""
    knobs = ReviewKnobs(
        output_dir=str(out), seed=0, device="cpu", dataset_dir=args.dataset_dir, mask_pattern=None, window=None,
        slice_axis=-1, model_dir=args.model_dir or args.run, labels_dir=args.run, budget=None, diversity=0.5,
        host="127.0.0.1", port=0, browser=False, embedding_cache=args.embedding_cache, cache_gb=20,
    )  # fmt: skip
    review = Review(knobs)
    masks = {path.stem: path for path in Path(args.masks_dir).iterdir()}

    def gold(image: str) -> np.ndarray:
        return np.asarray(review.classes.encode(read_mask(masks[Path(image).name])) > 0)

    return review, SimulatedReviewer(review.session, gold)


def orders(reviewed: pd.DataFrame) -> dict[tuple[str, int], np.ndarray]:
    """Return the orders that are compared: rows stand in the order of the ranking."""
    every = np.arange(len(reviewed))
    shuffled = {("random", seed): np.random.default_rng(seed).permutation(every) for seed in SEEDS}
    lowest = np.lexsort((reviewed["id"], reviewed["expected"].round(6)))
    best = np.argsort(-(reviewed["after"] - reviewed["before"]).to_numpy(), kind="stable")
    return {("ranking", 0): every, ("lowest score", 0): lowest, ("gain, if gold told", 0): best, **shuffled}


def part_of(log: DecisionLog, ids: Sequence[str], folder: Path) -> Path:
    """Write a review folder that holds the words that count on some images."""
    if not folder.is_dir():
        part, final = DecisionLog(folder, log.classes), log.final()
        for image in ids:
            decision = final[image]
            part.append(decision, log.mask(decision) if decision.mask_sha256 else None)
    return folder


def mine(folder: Path, options: Sequence[str]) -> dict[str, object]:
    """Mine once more, or go on; return what the run says of its students."""
    command = [sys.executable, "-m", "labelmine", "mine", "--output_dir", str(folder), *options]
    subprocess.run(command, check=True)
    return dict(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))


def train_students(
    name: str, log: DecisionLog, reviewed: pd.DataFrame, counts: Sequence[int], options: Sequence[str], beside: Path
) -> None:
    """Train a student after so many reviews of each order, and write each into ``STUDENTS_CSV`` as it is there."""
    cells = [("none", 0, 0)]
    cells += [(*key, count) for count in counts for key in orders(reviewed) if key[0] != "gain, if gold told"]
    for order, seed, count in cells:
        rows = pd.read_csv(STUDENTS_CSV) if STUDENTS_CSV.is_file() else pd.DataFrame(columns=list(STUDENT_COLUMNS))
        known = zip(rows["dataset"], rows["order"], rows["seed"], rows["reviews"], strict=True)
        if (name, order, seed, count) in known:
            continue
        cell = beside / f"students_{name}" / f"{order.replace(' ', '_')}_{seed}_{count}"
        corrections: list[str] = []
        if count:
            first = reviewed["id"].iloc[orders(reviewed)[order, seed][:count]]
            corrections = ["--corrections", str(part_of(log, list(first), cell.with_name(f"{cell.name}_review")))]
        metrics: dict = mine(cell, [*options, *corrections])
        kept = metrics["kept"]
        dice = round(metrics[kept]["dice"]["mean"], 4)
        row = dict(zip(STUDENT_COLUMNS, (name, order, seed, count, dice, kept, " ".join(options)), strict=True))
        pd.DataFrame([*rows.to_dict("records"), row]).to_csv(STUDENTS_CSV, index=False)


def main() -> None:
    """Review, compare the orders, and write."""
    own, options = sys.argv[1:], []
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run")
    for option in ("dataset_dir", "masks_dir", "model_dir", "embedding_cache"):
        parser.add_argument(f"--{option}", default="default" if option == "embedding_cache" else None)
    parser.add_argument("--students", type=int, nargs="*", default=[])
    args = parser.parse_args(own)
    beside = Path(args.run).parent
    review, reviewer = session_of(args, beside / f"simulated_{args.name}")
    places = range(len(review.session.cases))
    reviewed = review_all(reviewer, progress(places, "review", "label"))
    reviewed.to_csv(beside / f"review_labels_{args.name}.csv", index=False)
    rows = []
    for (order, seed), rank in orders(reviewed).items():
        table = curve(reviewed, rank)
        at = sorted({round(part * len(reviewed)) for part in PARTS})
        rows.append(table.iloc[at].assign(dataset=args.name, order=order, seed=seed, labels=len(reviewed)).round(4))
    old = pd.read_csv(CSV) if CSV.is_file() else pd.DataFrame({"dataset": []})
    kept = pd.concat([old[old["dataset"] != args.name], *rows], ignore_index=True)
    counts = {"labels": int, "seed": int, "reviews": int}
    kept[["dataset", "labels", "order", "seed", "reviews", "minutes", "dice"]].astype(counts).to_csv(CSV, index=False)
    if args.students:
        train_students(args.name, review.session.log, reviewed, args.students, options, beside)


if __name__ == "__main__":
    main()
