"""Keep what the finished cells of studies showed; `scripts/docs/make.py` makes the tables of a page from it.

Studies outlive a machine only through the repository: run this whenever a cell has ended, and commit.

    uv run python scripts/results/collect_cells.py recipe STUDY_DIR ...   # docs/results/recipe.csv: adds or replaces
    uv run python scripts/docs/make.py                                    # docs/results/recipe.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
KEY = ["dataset", "method", "fraction", "seed", "pixels", "steps"]


def cells_of(study: Path) -> list[dict[str, Any]]:
    """Return a row for each finished cell of a study."""
    rows = []
    for path in sorted(study.glob("cells/*/*/*/cell.json")):
        cell = json.loads(path.read_text(encoding="utf-8"))
        run = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))
        student = "mined" if "mined" in run else "supervised"
        dice = run[student]["dice"]
        labels = (run.get("pseudo_labels") or {}).get("dice") or {}
        rows.append(
            {
                "dataset": run["dataset"],
                **{name: cell[name] for name in ("method", "fraction", "seed")},
                "pixels": _pixels(path.parent),
                "steps": cell["steps"],
                "n_gold": cell["n_gold"],
                "n_gold_val": cell["n_gold_val"],
                **{name: round(dice[name], 4) for name in ("mean", "std")},
                "n_test": dice["n"],
                "labels_dice": round(labels["mean"], 4) if labels else None,
                "seconds": cell["seconds"],
            }
        )
    return rows


def _pixels(folder: Path) -> int:
    return int(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["image_size"])


def main() -> None:
    """Add cells to the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("studies", nargs="+", type=Path)
    args = parser.parse_args()
    path = RESULTS / f"{args.name}.csv"
    rows = pd.DataFrame([row for study in args.studies for row in cells_of(study)])
    known = pd.read_csv(path) if path.is_file() else rows.iloc[:0]
    table = pd.concat([known, rows]).drop_duplicates(KEY, keep="last").sort_values([*KEY[:4]])
    table.to_csv(path, index=False)
    print(f"{len(table)} cells in {path.name}")


if __name__ == "__main__":
    main()
