"""A training step of the default student: in float32 with one image augmented at a time, and as the recipe does it.

Both sides take the same batches, network, loss and kind of optimizer. Timed are rounds of whole steps, augmentation and
optimizer included. With ``--steps_to_compare`` both also train from the same start and are compared on held-out images:
a step that is faster and learns less would be no gain.

    uv run python scripts/benchmarks/student_step.py [--image_size 160] [--dataset_dir DIR --steps_to_compare 200]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.inferers import SimpleInferer
from side_by_side import Comparison, machine, print_verdict, time_side_by_side

from labelmine.data import prepare_image_set, write_phantom_set
from labelmine.labelers.prediction import predict
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.quality import class_dice
from labelmine.training import PrepareStudentBatch, student_loader, training_inferer, view_dataset
from labelmine.training.plan import encoder_apart
from labelmine.transforms import BatchAugment, MovedAndRecoloured, flips_scales_and_colours

BAR = 1.5
BATCH = 8
ENCODER = "timm-tf_efficientnet_lite2"


class Steps:
    """Trains a student of its own, some steps at a call.

    Args:
        batches: Endless.
        augment: Of whole batches.
        inferer: How the network is applied.
    """

    def __init__(self, batches: Iterator[Any], augment: Any, inferer: Callable[..., torch.Tensor]) -> None:
        """Start as every side starts."""
        torch.manual_seed(0)
        self.network = Student(encoder=ENCODER, encoder_weights="imagenet").train()
        self.optimizer = torch.optim.AdamW(encoder_apart(self.network, 5e-4), lr=1e-3, weight_decay=0.01)
        self.loss = WeightedBCEDiceLoss()
        self.batches, self.prepare, self.inferer = batches, PrepareStudentBatch(augment), inferer

    def __call__(self, steps: int) -> None:
        """Take steps."""
        self.network.train()
        for _ in range(steps):
            image, target = self.prepare(next(self.batches), "cpu")
            self.optimizer.zero_grad()
            self.loss(self.inferer(image, self.network), target).backward()
            self.optimizer.step()


def endless(loader: Any) -> Iterator[Any]:
    """Yield batches for ever."""
    while True:
        yield from loader


def sides(loader: Any, moved: Any) -> dict[str, Steps]:
    """Return both sides, each with batches of its own."""
    return {
        "float32": Steps(endless(loader), moved, SimpleInferer()),
        "recipe": Steps(endless(loader), MovedAndRecoloured(), training_inferer("cpu")),
    }


def mean_dice(network: Student, loader: Any) -> float:
    """Return the mean Dice over views."""
    network.eval()
    with torch.no_grad():
        found = [class_dice(predict(network, batch, False), batch["label"]) for batch in loader]
    return float(torch.cat(found).mean())


def main() -> None:
    """Time both in turns, compare what they learn, and print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image_size", type=int, default=160)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dataset_dir", default=None)
    parser.add_argument("--steps_to_compare", type=int, default=0)
    args = parser.parse_args()
    one_by_one: BatchAugment = flips_scales_and_colours()
    with tempfile.TemporaryDirectory() as folder:
        phantoms = str(write_phantom_set(Path(folder) / "phantom", 24, 4, 24, size=args.image_size))
        images = prepare_image_set(
            args.dataset_dir or phantoms, f"{folder}/run", labeled_fraction=0.1 if args.dataset_dir else 1.0
        )
        train, test = (view_dataset(items, images, args.image_size) for items in (images.train, images.test))
        loader = student_loader(train, BATCH, steps=50)
        timed = sides(loader, one_by_one)
        seconds = time_side_by_side({n: partial(side, args.steps) for n, side in timed.items()}, args.rounds)
        if args.steps_to_compare:
            # With the same augmentation: precision alone differs.
            for name, side in sides(loader, MovedAndRecoloured()).items():
                side(args.steps_to_compare)
                print(
                    f"{name}: Dice {mean_dice(side.network, student_loader(test, BATCH, shuffle=False)):.3f} "
                    f"on {len(test)} images after {args.steps_to_compare} steps"
                )
    comparison = Comparison.of(seconds["float32"], seconds["recipe"])
    print(f"{ENCODER}, {args.image_size} px, batch {BATCH}, {args.steps} steps a round, {machine()}")
    print("seconds per step: " + ", ".join(f"{n} {min(s) / args.steps:.3f}" for n, s in seconds.items()))
    print_verdict("student_step", comparison.ratio, BAR, "cpu", spread=comparison.spread)


if __name__ == "__main__":
    main()
