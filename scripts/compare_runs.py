"""Paired difference in test Dice between two kinds of run over several seeds, with a bootstrap interval.

    uv run python scripts/compare_runs.py "A_{seed}/test_mined.csv" "B_{seed}/test_supervised.csv" --seeds 0 1 2

Images are paired within a seed and resampled within it, 4000 times; the interval holds 95 %.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd


def main() -> None:
    """Print the mean difference of the first kind of run to the second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2"], help="put in place of {seed}; 20/seed_0 too")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    differences = []
    for seed in args.seeds:
        a, b = (pd.read_csv(name.format(seed=seed)).set_index("id")["dice"] for name in (args.first, args.second))
        differences.append((a - b).to_numpy())
    draws = [np.mean([rng.choice(one, len(one)).mean() for one in differences]) for _ in range(4000)]
    low, high = np.percentile(draws, [2.5, 97.5])
    print(f"{np.mean([one.mean() for one in differences]):+.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
