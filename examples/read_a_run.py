"""What a run found, for a program of yours: students' Dice, who labels, and the labels that were used.

uv run python examples/read_a_run.py output/mine
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd


# --- read
def summary(run: Path) -> dict[str, float | int]:
    """Return test Dice of both students, and how many labels were used and how good they are expected to be."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    labels = pd.read_csv(run / "labels" / "manifest.csv")
    used = labels[labels["accepted"]]
    return {
        "supervised": metrics["supervised"]["dice"]["mean"],
        "mined": metrics["mined"]["dice"]["mean"],
        "labels": len(labels),
        "used": len(used),
        "expected_dice": used["score"].mean(),
    }


# --- run
if __name__ == "__main__":
    for name, value in summary(Path(sys.argv[1])).items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
