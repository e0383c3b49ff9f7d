"""What a review is worth, by the order in which labels are looked at: a simulated reviewer, made of hidden gold.

    uv run python scripts/results/review_order.py NAME RUN --masks_dir MASKS [--dataset_dir DIR] [--model_dir STUDENT]

RUN holds labels (mine or label). The reviewer goes through all of them once, in the session of the page: accepts what
has a Dice of 0.9 with gold, asks the run's teacher about the rest by a box and up to two clicks, and draws what that
does not find. Written are docs/results/review_order.csv (per order and seed the mean Dice of all labels, and the
minutes, after a part of the reviews) and review_labels_NAME.csv beside RUN (a row per label).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from labelmine.data import read_mask
from labelmine.progress import progress
from labelmine.review.simulated import SimulatedReviewer, curve, review_all
from labelmine.workflows.review import Review, ReviewKnobs

CSV = Path(__file__).resolve().parents[2] / "docs" / "results" / "review_order.csv"
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


def main() -> None:
    """Review, compare the orders, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("run")
    for option in ("dataset_dir", "masks_dir", "model_dir", "embedding_cache"):
        parser.add_argument(f"--{option}", default="default" if option == "embedding_cache" else None)
    args = parser.parse_args()
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


if __name__ == "__main__":
    main()
