"""Which prompts suit a set? Pseudo labels of a finished run's student under each kind of prompt, against hidden gold.

    uv run python scripts/ablate_prompts.py RUN --dataset_dir DIR --teacher_weights compact [--limit 300]

RUN is the output folder of ``mine.yaml`` or ``train.yaml`` with ``--labeled_fraction`` below 1: the gold that was
hidden from its training is what labels are compared with. Every row labels the same images by the same student; the
teacher encodes each image once. Dice at original size over the labels that each row accepts, and over all of them.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm

from labelmine.data import ImageSet, Item, prepare_image_set
from labelmine.labelers import PromptedLabeler
from labelmine.prompts import PromptGenerator
from labelmine.teachers import build_cached_teacher, build_compact_teacher
from labelmine.transforms import to_original
from labelmine.workflows import best_student, compare, student_loader, view_dataset

KINDS = (["points"], ["box"], ["points", "box"])
SPLIT = ("seed", "labeled_fraction", "val_fraction", "test_fraction", "classes", "window", "slice_axis")


def label(
    labeler: PromptedLabeler, run: Path, images: ImageSet, items: Sequence[Item], image_size: int, accepted: list[bool]
) -> Iterator[tuple[Item, np.ndarray]]:
    """Yield each item with its pseudo label (K, H, W) at original size; note which are accepted."""
    student = best_student(run / "supervised")
    rest = iter(items)
    views = view_dataset(items, images, image_size, cache_num=0)
    for batch in tqdm(student_loader(views, 8, shuffle=False), unit="batch", leave=False):
        answer = labeler(batch, student)
        accepted += answer.accepted.tolist()
        for mask, size in zip(answer.mask, batch["original_size"].tolist(), strict=True):
            yield next(rest), (to_original(mask, (size[0], size[1])) > 0.5).numpy()


def main() -> None:
    """Label under each kind of prompt and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--teacher_weights", default="compact")
    parser.add_argument("--limit", type=int, help="images at most, drawn at random; default: all")
    args = parser.parse_args()
    settings = yaml.safe_load((args.run / "config.yaml").read_text())
    images = prepare_image_set(args.dataset_dir, str(args.run), **{key: settings[key] for key in SPLIT})
    known = [item for item in images.unlabeled if "dropped_label" in item]
    chosen = np.random.default_rng(settings["seed"]).permutation(len(known))[: args.limit]
    items = [known[i] for i in sorted(chosen)]
    teacher = build_cached_teacher(build_compact_teacher(args.teacher_weights))
    rows = []
    for kinds, per_component in itertools.product(KINDS, (True, False)):
        prompts = PromptGenerator(kinds, per_component=per_component, seed=settings["seed"])
        labeler = PromptedLabeler(teacher, prompts, exclusive=len(images.classes) > 1)
        accepted: list[bool] = []
        table = compare(label(labeler, args.run, images, items, settings["image_size"], accepted), images)
        dice = table.set_index("id")["dice"].reindex([item["id"] for item in items]).to_numpy()
        kept = dice[np.array(accepted)]
        rows.append(
            {
                "prompts": " + ".join(kinds),
                "objects": "per component" if per_component else "whole",
                "accepted": f"{len(kept)} of {len(dice)}",
                "Dice, accepted": f"{kept.mean():.3f} ± {kept.std():.3f}" if len(kept) else "-",
                "Dice, all": f"{dice.mean():.3f}",
            }
        )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
