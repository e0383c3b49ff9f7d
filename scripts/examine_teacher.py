"""Examine a compact teacher on image sets with masks: Dice with jittered boxes, as in ``models/README.md``.

python scripts/examine_teacher.py compact DIR [DIR ...]
"""

from __future__ import annotations

import json

import fire

from labelmine.teachers import build_compact_teacher
from labelmine.workflows.train_teacher import exam_samples, prompted_dice, views_of_objects


def main(
    teacher: str,
    *dataset_dirs: str,
    jitter: float = 0.12,
    seed: int = 0,
    view_size: int | None = None,
    own_view: bool = True,
) -> None:
    """Print a line of JSON per image set.

    Args:
        teacher: Name in ``models/`` or path of a compact teacher.
        *dataset_dirs: Image sets with masks that the teacher never saw.
        jitter: Largest shift of a box's edge as a fraction of the box's side.
        seed: Seed of the jitter.
        view_size: Side in pixels of the student's view, in which it is asked and answers; None: its own.
        own_view: Whether it sees the images in its own size nevertheless, as when it labels.
    """
    examined = build_compact_teacher(teacher)
    teacher_size = examined.image_size if own_view else None
    view = views_of_objects(view_size or examined.image_size, teacher_size)
    for folder in dataset_dirs:
        samples = exam_samples(folder, view)
        print(
            json.dumps({"teacher": teacher, "dataset": folder, **prompted_dice(examined, samples or [], jitter, seed)})
        )


if __name__ == "__main__":
    fire.Fire(main)
