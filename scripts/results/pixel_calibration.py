"""Calibrate the shipped polyp student's pixels on the images that validated it, and judge that by those that tested it.

uv run python scripts/results/polyp_list.py ../shared/data polyps.csv
uv run python scripts/results/pixel_calibration.py polyps.csv
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from scipy.stats import spearmanr

from labelmine.bundle import bundle_root
from labelmine.data import ImageSet, LoadItem, find_images
from labelmine.networks import RememberedLooks
from labelmine.prediction import Predictor, calibrate_pixels, gold_of, pixel_calibration_of
from labelmine.quality import expected_dice
from labelmine.run.files import MODEL_FILE
from labelmine.transforms import StudentView, to_original

BINS = 15


def gap(probability: np.ndarray, truth: np.ndarray) -> float:
    """Return the expected calibration error of probabilities (N,) of what was true (N,)."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    sums = [np.bincount(place, weight, BINS) for weight in (probability, truth.astype(float))]
    return float(np.abs(sums[0] - sums[1]).sum() / len(probability))


def images_of(rows: pd.DataFrame, folder: Path, class_names: tuple[str, ...]) -> ImageSet:
    """Return the image set of some rows of the list."""
    folder.mkdir()
    rows.drop(columns="split").to_csv(folder / "list.csv", index=False)
    return find_images(str(folder / "list.csv"), str(folder), class_names=list(class_names))


def judge(predictor: Predictor, images: ImageSet, model_dir: Path) -> None:
    """Print how far probabilities, chances of being wrong and expected Dice are true, at the images' own size."""
    calibration, looks = pixel_calibration_of(model_dir, 1), RememberedLooks(predictor.student, mean=False)
    views = Dataset(list(images.items), Compose([LoadItem(images.classes), StudentView(predictor.image_size)]))
    pixels: dict[str, list[np.ndarray]] = {
        name: [] for name in ("plain", "before", "after", "gold", "wrong", "is_wrong")
    }
    dice: list[tuple[float, float, float]] = []
    for item, view in zip(images.items, DataLoader(views, batch_size=1), strict=True):
        plain = looks(view["image"]).sigmoid()
        mean, size = looks.mean_and_spread()[0], tuple(view["original_size"][0].tolist())
        one, before, after = (to_original(p[0], size) for p in (plain, mean, calibration(mean)))
        gold, mask = torch.from_numpy(gold_of(item, images)), one > 0.5
        wrong = after.where(~mask, 1 - after)
        found = (one, before, after, gold, wrong, mask != gold)
        for name, values in zip(pixels, found, strict=True):
            pixels[name].append(values.numpy().ravel()[::7])
        total = float(mask.sum() + gold.sum())
        seen = 2 * float((mask & gold).sum()) / total if total else 1.0
        dice.append((expected_dice(mask, after), expected_dice(mask, one), seen))
    joined = {name: np.concatenate(parts) for name, parts in pixels.items()}
    for name in ("plain", "before", "after"):
        error, brier = gap(joined[name], joined["gold"]), np.mean((joined[name] - joined["gold"]) ** 2)
        print(f"probability {name:7} calibration error {error:.4f}  Brier score {brier:.4f}")
    print(f"chance of being wrong  calibration error {gap(joined['wrong'], joined['is_wrong']):.4f}, ", end="")
    print(f"expected {joined['wrong'].mean():.4f}, seen {joined['is_wrong'].mean():.4f}")
    *guesses, observed = np.array(dice).T
    for name, expected in zip(("after", "plain"), guesses, strict=True):
        print(f"Dice expected {name:5} {expected.mean():.3f}, seen {observed.mean():.3f}, ", end="")
        print(
            f"off by {np.abs(expected - observed).mean():.3f}, Spearman {spearmanr(expected, observed).statistic:.3f}"
        )


@torch.no_grad()
def main() -> None:
    """Calibrate, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path, help="CSV that polyp_list.py wrote")
    model_dir = bundle_root() / "models"
    table, predictor = pd.read_csv(parser.parse_args().list), Predictor.load(model_dir / MODEL_FILE)
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            split: images_of(table[table["split"] == split], Path(folder) / split, predictor.student.class_names)
            for split in ("val", "test")
        }
        found = calibrate_pixels(model_dir, predictor.student, predictor.image_size, sets["val"].items, sets["val"])
        print(found)
        judge(predictor, sets["test"], model_dir)


if __name__ == "__main__":
    main()
