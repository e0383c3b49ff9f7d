"""One epoch of continuous labels: cached embeddings against the published way, ViT-B shapes, images of 512 px.

The published way asks stock ``SamPredictor.set_image`` and ``predict`` at every visit. Both sides get the same images
and the same prompts, and share one set of random weights: speed does not depend on their values. What is timed is the
teacher's part of an epoch, the verdict's ``ratio`` from the second epoch on; the first epoch, in which the cache is
filled, and an epoch with the student's training step are printed beside it.

    uv run python scripts/benchmarks/continuous_epoch.py [--images 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from side_by_side import Comparison, machine, print_verdict, time_side_by_side
from torch import Tensor

from labelmine.data import ClassMap, LoadItem, find_items, write_phantom_set
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.prompts import PromptGenerator, Prompts
from labelmine.teachers import SamTeacher, build_cached_teacher
from labelmine.transforms import StudentView

SIZE = 512  # pixels
BAR, FIRST_EPOCH_BAR = 50.0, 1.1


def views(count: int) -> tuple[Tensor, Tensor]:
    """Return phantom images (B, 3, 512, 512) and their gold (B, 1, 512, 512), which stands in for the student."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_phantom_set(Path(folder), count, 0, 0, size=SIZE)
        samples = [StudentView(SIZE)(LoadItem(ClassMap())(item)) for item in find_items(source)]
    return torch.stack([s["image"] for s in samples]), torch.stack([s["label"] for s in samples])


def published(predictor: SamPredictor, images: Tensor, asked: Prompts) -> list[np.ndarray]:
    """Visit each image as published code does; return a mask per object."""
    masks = []
    for index, image in enumerate(images):
        predictor.set_image((image * 255).round().byte().permute(1, 2, 0).numpy())
        for box in asked.boxes[asked.image_index == index].cpu().numpy() if asked.boxes is not None else ():
            found, iou, _ = predictor.predict(box=box, multimask_output=True)
            masks.append(found[iou.argmax()])
    return masks


def visit(teacher: SamTeacher, images: Tensor, asked: Prompts) -> Tensor:
    """Visit all images as the labeler does; return masks (N, 512, 512)."""
    return teacher.decode(teacher.encode(images), asked, (SIZE, SIZE)).logits > 0


def training_step(images: Tensor, gold: Tensor) -> Callable[[], None]:
    """Return a step of S1's student (resnet34) on a batch of these images."""
    student = Student(encoder="resnet34").to(images.device).train()
    optimizer = torch.optim.Adam(student.parameters(), 5e-5)
    target = torch.cat([gold, torch.ones_like(gold)], 1)
    loss = WeightedBCEDiceLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss(student(images), target).backward()
        optimizer.step()

    return step


def main() -> None:
    """Time both ways and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    stock, own = (sam_model_registry["vit_b"](checkpoint=None).eval() for _ in range(2))
    own.load_state_dict(stock.state_dict())
    predictor, teacher = SamPredictor(stock.to(device)), SamTeacher(own, weights_sha256="random").to(device)
    images, gold = views(args.images)
    asked = PromptGenerator(kinds=["box"])(gold).to(device)
    on_device = images.to(device)

    with tempfile.TemporaryDirectory() as cache:
        empty = (build_cached_teacher(teacher, f"{cache}/{number}") for number in range(args.rounds + 1))
        filled = build_cached_teacher(teacher, f"{cache}/filled")
        exact = published(predictor, images, asked)
        kept = visit(filled, on_device, asked).cpu().numpy()
        sides = {
            "published": lambda: published(predictor, images, asked),
            "first": lambda: visit(next(empty), on_device, asked),
            "cached": lambda: visit(filled, on_device, asked),
            "step": training_step(on_device, gold.to(device)),
        }
        seconds = time_side_by_side(sides, args.rounds)

    later = Comparison.of(seconds["published"], seconds["cached"])
    first = Comparison.of(seconds["first"], seconds["published"])
    with_step = Comparison.of(
        [a + b for a, b in zip(seconds["published"], seconds["step"], strict=True)],
        [a + b for a, b in zip(seconds["cached"], seconds["step"], strict=True)],
    )
    agreement = [(a & b).sum() / max((a | b).sum(), 1) for a, b in zip(exact, kept, strict=True)]
    print(f"{args.images} images, {len(asked)} objects, {machine()}")
    print(f"teacher's part of a later epoch, published by cached: {later} (bar {BAR})")
    print(f"teacher's part of the first epoch, filling the cache by published: {first} (bar at most {FIRST_EPOCH_BAR})")
    print(f"a later epoch with the student's training step, published by cached: {with_step}")
    print(f"IoU of cached masks to the published way's: mean {np.mean(agreement):.4f}, least {np.min(agreement):.4f}")
    print_verdict(
        "continuous_epoch",
        later.ratio,
        BAR,
        device,
        spread=later.spread,
        first_epoch={"ratio": round(first.ratio, 3), "bar": FIRST_EPOCH_BAR, "met": first.ratio <= FIRST_EPOCH_BAR},
        with_training_step=round(with_step.ratio, 2),
        seconds_per_image={name: round(min(values) / args.images, 4) for name, values in seconds.items()},
        mask_iou=round(float(np.mean(agreement)), 4),
    )


if __name__ == "__main__":
    main()
