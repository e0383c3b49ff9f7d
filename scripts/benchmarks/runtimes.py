"""The student by torch, ONNX Runtime, OpenVINO and in 8 bits: do their masks agree, and how many images a second?

From a decoded image to its mask at its own size, one image at a time. 8 bits are calibrated on the first 16 images,
which count no further.

    uv run python scripts/benchmarks/runtimes.py ../shared/data/kvasir_seg ../shared/data/busi [--model_dir RUN]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from side_by_side import Comparison, machine, print_verdict, time_side_by_side

from labelmine.data import ClassMap, Item, LoadItem, find_items
from labelmine.data.loading import LoadedItem
from labelmine.deployment import found_or_written
from labelmine.deployment.examined import whole_image
from labelmine.deployment.int8 import CALIBRATED_ON, export_int8
from labelmine.evaluation import dice_iou
from labelmine.prediction import Predictor
from labelmine.progress import progress
from labelmine.run.files import INT8_FILE, MODEL_FILE, ONNX_FILE
from labelmine.transforms import StudentView, to_original

Side = Callable[[LoadedItem], NDArray[np.bool_]]


def by_torch(model_dir: Path) -> Side:
    """Return how ``predict`` answers."""
    predictor = Predictor.load(model_dir / MODEL_FILE)
    view = StudentView(predictor.image_size)

    def mask(item: LoadedItem) -> NDArray[np.bool_]:
        seen = view(item)
        # Not ``Predictor.probabilities``, which asks twice of a batch of one, for the sake of resumed runs.
        with torch.inference_mode():
            found = predictor.network(seen["image"][None]).sigmoid()[0] * (seen["weight"] > 0)
        answer: NDArray[np.bool_] = (to_original(found, (item["image"].shape[1], item["image"].shape[2])) > 0.5).numpy()
        return answer

    return mask


def by_file(name: str, model_dir: Path, folder: Path) -> Side:
    """Return how an exported file answers."""
    answer = found_or_written(name, model_dir, folder).answer
    return lambda item: answer(whole_image(item)[None])[0] > 0.5


def sides_of(model_dir: Path, folder: Path, calibration: list[LoadedItem]) -> dict[str, Side]:
    """Return all programs, their files written where they are missing."""
    sides = {"torch": by_torch(model_dir)}
    for name in ("onnx", "openvino"):
        sides[name] = by_file(name, model_dir, folder)
    if not (folder / INT8_FILE).is_file():
        export_int8(folder / ONNX_FILE, folder / INT8_FILE, map(whole_image, calibration))
    return {**sides, "onnx_int8": by_file("onnx_int8", model_dir, folder)}


def agreement(sides: Mapping[str, Side], items: list[LoadedItem]) -> dict[str, dict[str, float]]:
    """Return by program the mean and the least Dice with torch's mask, and the mean Dice with gold."""
    with_torch: dict[str, list[float]] = {name: [] for name in sides}
    with_gold: dict[str, list[float]] = {name: [] for name in sides}
    for item in progress(items, "masks", "image"):
        masks = {name: side(item) for name, side in sides.items()}
        for name, mask in masks.items():
            with_torch[name].append(float(dice_iou(mask, masks["torch"])[0].mean()))
            with_gold[name].append(float(dice_iou(mask, item["label"].numpy() > 0)[0].mean()))
    return {
        name: {
            "mean": round(float(np.mean(values)), 5),
            "least": round(min(values), 5),
            "gold": round(float(np.mean(with_gold[name])), 4),
        }
        for name, values in with_torch.items()
    }


def main() -> None:
    """Compare masks, time in turns, print a table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="image sets with gold of one class")
    parser.add_argument("--model_dir", type=Path, default=Path("models"))
    parser.add_argument("--files", type=Path, help="folder that keeps the exported files; default: a temporary one")
    parser.add_argument("--count", type=int, default=50, help="images of each set")
    parser.add_argument("--timed", type=int, default=8, help="images that are timed")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    load = LoadItem(ClassMap())
    found = [item for folder in args.folders for item in spread(find_items(folder), args.count + CALIBRATED_ON)]
    with tempfile.TemporaryDirectory() as temporary:
        calibration = [load(item) for item in found[:CALIBRATED_ON]]
        items = [load(item) for item in found[CALIBRATED_ON:]][: args.count * len(args.folders)]
        sides = sides_of(args.model_dir, args.files or Path(temporary), calibration)
        agreed = agreement(sides, items)
        timed = items[: args.timed]
        calls = {name: (lambda side=side: [side(item) for item in timed]) for name, side in sides.items()}
        seconds = time_side_by_side(calls, args.rounds)
    print(f"{len(items)} images, {machine()}")
    print("| program | images a second | times torch's (of rounds) | Dice with torch: mean, least | Dice with gold |")
    print("|---|---|---|---|---|")
    gains = {name: Comparison.of(seconds["torch"], values) for name, values in seconds.items()}
    for name, values in seconds.items():
        rate, one = len(timed) / float(np.median(values)), agreed[name]
        print(f"| {name} | {rate:.1f} | {gains[name]} | {one['mean']:.5f}, {one['least']:.5f} | {one['gold']:.4f} |")
    ratios = {name: round(gain.ratio, 3) for name, gain in gains.items()}
    least = min(agreed[name]["least"] for name in ("onnx", "openvino"))
    print_verdict("runtimes", least, 0.999, "cpu", times_torch=ratios, agreement=agreed, images=len(items))


def spread(items: list[Item], count: int) -> list[Item]:
    """Return a number of items from all over a list."""
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, min(count, len(items)))]


if __name__ == "__main__":
    main()
