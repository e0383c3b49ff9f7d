"""Attack labelmine as administrators fear: kills, damage, full disks, hostile files, two at once; a table at the end.

    uv run python scripts/attack.py [--only damage,hostile] [--rounds 1] [--most 24] [--folder /dev/shm/attack]

Runs on phantoms, in minutes on an idle machine; ``--rounds`` are of the kills (three signals each), ``--most`` damaged
files. Exits with 1 where a promise fell short. Best in memory (``/dev/shm``): flushing files takes most of it on a slow
disk.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import monai.bundle  # noqa: F401  (imported once, here, for all the runs that are forked)

import labelmine.workflows.embed
import labelmine.workflows.inference
import labelmine.workflows.label
import labelmine.workflows.mine
import labelmine.workflows.pretrain_simclr
import labelmine.workflows.synthesize
import labelmine.workflows.train
import labelmine.workflows.train_teacher  # noqa: F401
from attacks import campaigns
from attacks.runs import WORKFLOWS, Place, new_place


def main() -> None:
    """Run the campaigns and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="kills,damage,full_disk,forbidden,hostile,quiet,together")
    parser.add_argument("--workflows", default=",".join(WORKFLOWS), help="that are killed")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="made, kept, and taken up again; by default a temporary one")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="attack_"))
    folder.mkdir(parents=True, exist_ok=True)
    images = str(folder / "images")
    known = Place(folder, {"images": images, "model": str(folder / "model")})
    place = known if (folder / "model" / "metrics.json").is_file() else new_place(folder)
    draw = random.Random(args.seed)
    rows: dict[str, Callable[[], Iterator[campaigns.Row]]] = {
        "kills": lambda: campaigns.kills(place, args.workflows.split(","), args.rounds, draw),
        "damage": lambda: iter([campaigns.damage(place, args.most, draw)]),
        "full_disk": lambda: iter([campaigns.full_disk(place)]),
        "forbidden": lambda: iter([campaigns.forbidden(place)]),
        "hostile": lambda: iter([campaigns.hostile(place)]),
        "quiet": lambda: iter([campaigns.quiet(place)]),
        "together": lambda: iter([campaigns.together(place)]),
    }
    failed = 0
    print("| promised | tried | tries | fell short |\n|---|---|---|---|")
    for name in args.only.split(","):
        for row in rows[name]():
            failed += len(row.failures)
            print(f"| {row.promised} | {row.tried} | {row.tries} | {len(row.failures)} |", flush=True)
            for failure in row.failures:
                print(f"<!-- {failure} -->", flush=True)
    if args.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
