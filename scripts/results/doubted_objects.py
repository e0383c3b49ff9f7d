"""How good labels are by the predicted IoU from which on objects count, on images whose gold the student never saw.

uv run python scripts/results/doubted_objects.py RUN DATASET_DIR [--teacher compact] [--images 150]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from labelmine.data import find_images
from labelmine.labelers import PromptedLabeler
from labelmine.networks import Student
from labelmine.prediction import SavedStudent
from labelmine.quality import class_dice
from labelmine.teachers import build_compact_teacher
from labelmine.training import student_loader, view_dataset

USES = ("train", "val", "test")


def main() -> None:
    """Label and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run that trained on gold: supervised/, split.json")
    parser.add_argument("dataset", help="its images, all with masks")
    parser.add_argument("--teacher", default="compact")
    parser.add_argument("--images", type=int, default=150, help="images that are labelled, at most")
    args = parser.parse_args()
    split = json.loads((args.run / "split.json").read_text(encoding="utf-8"))
    used = {image_id for use in USES for image_id in split[use]}
    student = SavedStudent(args.run / "supervised", "cpu", tta=True)
    with tempfile.TemporaryDirectory() as folder:
        images = find_images(args.dataset, folder)
    free = [item for item in images.items if item["id"] not in used and "label" in item]
    chosen = free[:: -(-len(free) // args.images)]
    teacher = build_compact_teacher(args.teacher)
    labeler = PromptedLabeler(teacher, exclusive=student.student.exclusive, min_iou=None)
    size = Student.load(args.run / "supervised" / "best.safetensors")[1]["image_size"]
    dice: dict[float, list[float]] = {}
    own: list[float] = []
    for batch in student_loader(view_dataset(chosen, images, size, 0, labeler.teacher_size), 8, shuffle=False):
        for threshold, answer in labeler.answers(batch, student).items():
            found = (answer.mask > 0.5).flatten(1).any(1)
            dice.setdefault(threshold, []).extend(class_dice(answer.mask, batch["label"]).mean(1)[found].tolist())
        assert answer.student is not None
        own += class_dice(answer.student, batch["label"]).mean(1).tolist()
    print(f"{images.name}: the student itself {torch.tensor(own).mean():.3f} (n = {len(own)})")
    for threshold, values in dice.items():
        print(f"min_iou {threshold:g}: labels {torch.tensor(values).mean():.3f} (n = {len(values)})")


if __name__ == "__main__":
    main()
