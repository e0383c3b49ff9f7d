"""List the images that the shipped polyp student was trained on: Kvasir-SEG with a split, CVC-ClinicDB to train.

uv run python scripts/results/polyp_list.py ../shared/data polyps.csv
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import pandas as pd

#: Two frames of one polyp in Kvasir-SEG: they stay together.
NEAR_DUPLICATES = {"cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"}
HELD_OUT = 45


def rows_of(folder: Path, prefix: str, split: dict[str, str]) -> list[dict[str, str]]:
    """Return a row per image of a set; what ``split`` does not name trains."""
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    return [
        {
            "id": f"{prefix}_{image.stem}",
            "image": str(image.absolute()),
            "label": str(masks[image.stem].absolute()),
            "split": split.get(image.stem, "train"),
        }
        for image in sorted((folder / "images").iterdir())
    ]


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of kvasir_seg and cvc_clinicdb")
    parser.add_argument("list", type=Path, help="CSV to write")
    args = parser.parse_args()
    ids = sorted({path.stem for path in (args.data / "kvasir_seg" / "images").iterdir()} - NEAR_DUPLICATES)
    random.Random(0).shuffle(ids)
    split = dict.fromkeys(ids[:HELD_OUT], "val") | dict.fromkeys(ids[HELD_OUT : 2 * HELD_OUT], "test")
    rows = rows_of(args.data / "kvasir_seg", "kvasir", split) + rows_of(args.data / "cvc_clinicdb", "clinic", {})
    pd.DataFrame(rows).to_csv(args.list, index=False)


if __name__ == "__main__":
    main()
