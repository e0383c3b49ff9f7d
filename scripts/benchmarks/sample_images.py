"""Sampling a trained generator in few steps against 1000, and inpainting against RePaint's 960 network calls.

All ways have the same network, gold, image size and batch; each makes ``--images`` images, a batch at a time in turns,
and the images that were timed are those whose Fréchet distance to the training gold is taken. 1000 steps are ancestral
sampling: of a ``v_prediction`` generator MONAI's DDPM (Ho et al. 2020), of a ``flow``, which has no DDPM, our own steps
that draw as much noise anew (``eta`` 1). RePaint's side (Lugmayr et al. 2022) is our sampler with 96 ancestral steps,
each taken 10 times: the 960 calls of S4; ours takes each step once and draws more noise anew. Both make lesions of the
same bent masks in the same images. Their backgrounds stay real, so these Fréchet distances are small: compare them with
each other alone.

    uv run python scripts/benchmarks/sample_images.py --generator_file RUN/generator/generator.safetensors
        --dataset_dir DIR --split_file RUN/split.json [--images 64] [--batch_size 16] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from monai.networks.schedulers import DDPMScheduler
from side_by_side import Comparison, machine, print_verdict, time_side_by_side
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.data import ImageSet, prepare_image_set
from labelmine.errors import DataError
from labelmine.synthesis import (
    Generator,
    KeepKnown,
    deformed,
    frechet_distance,
    generator_views,
    gold_of_generator,
    new_lesion,
    sample,
)
from labelmine.synthesis.process import TRAIN_STEPS
from labelmine.synthesis.sampling import Network
from labelmine.workflows.synthesize import FeatureNetwork, build_feature_network
from labelmine.workflows.synthesize.generator_training import gold_digests, kinds_of

SAMPLING_BAR, INPAINTING_BAR = 15.0, 10.0
FRECHET_BAR = 1.1  # not worse by more than a tenth


@dataclass(frozen=True)
class Batch:
    """What a batch of images is made of, the same for all ways.

    Attributes:
        seed: Of its noise.
        lesion: What inpainting keeps, gold in [-1, 1] around holes for new lesions.
        conditioning: What the network takes besides noisy images and times.
    """

    seed: int
    lesion: KeepKnown
    conditioning: dict[str, Tensor]


class Way:
    """One way to make images: each call makes the next batch.

    Args:
        generator: Whose network makes them.
        batches: What to make.
        draw: Returns (B, C, S, S) images in [-1, 1] of a network and a batch.
    """

    def __init__(
        self, generator: Generator, batches: Sequence[Batch], draw: Callable[[Network, Batch], Tensor]
    ) -> None:
        """Nothing is made yet."""
        self.generator, self.batches, self.draw = generator, batches, draw
        self.made: list[Tensor] = []
        self.calls = 0

    def __call__(self) -> None:
        """Make a batch and count the network's calls."""
        batch = self.batches[len(self.made)]

        def network(noisy: Tensor, times: Tensor) -> Tensor:
            self.calls += 1
            answer: Tensor = self.generator(noisy, times, **batch.conditioning)
            return answer

        self.made.append(self.draw(network, batch))

    @property
    def images(self) -> Tensor:
        """All made so far, (N, 3, S, S) in [0, 1]."""
        return (torch.cat(self.made)[:, :3] + 1) / 2


@torch.no_grad()
def ancestral(network: Network, like: Tensor, steps: int = TRAIN_STEPS, seed: int = 0) -> Tensor:
    """Return images (B, C, S, S) in [-1, 1] of ancestral DDPM sampling, on the device of ``like``, as many as it has.

    Args:
        network: Answers with velocities.
        like: Gives shape and device.
        steps: MONAI's steps are one train step long, so fewer than 1000 make no good images.
        seed: Of all noise.
    """
    scheduler = DDPMScheduler(TRAIN_STEPS, schedule="cosine", prediction_type="v_prediction")
    scheduler.set_timesteps(steps)
    generator = torch.Generator(like.device).manual_seed(seed)
    noisy = torch.randn(like.shape, generator=generator, device=like.device)
    for time in scheduler.timesteps.tolist():
        answer = network(noisy, torch.full((len(like),), time, device=like.device))
        noisy, _ = scheduler.step(answer, time, noisy, generator)
    return noisy.clamp(-1, 1)


def load(path: str, images: ImageSet, bfloat16: bool = False) -> tuple[Generator, int]:
    """Return the generator and its seed; refuse one that was trained on other gold than it is compared with.

    Raises:
        DataError: It was.
    """
    generator, spec = Generator.load(path, bfloat16)
    if spec.get("trained_on") != gold_digests(images):
        raise DataError(f"{Path(path).name} was trained on other gold. Give --dataset_dir and --split_file of its run")
    return generator, int(spec.get("seed", 0))


def batches_of(
    generator: Generator, views: Sequence[dict[str, Any]], kinds: dict[str, int], count: int, batch_size: int
) -> list[Batch]:
    """Return so many batches of gold, its images in turn, on the generator's device."""
    device = next(generator.parameters()).device
    batches = []
    for seed in range(count):
        rows = [views[number % len(views)] for number in range(seed * batch_size, (seed + 1) * batch_size)]
        image, label = (torch.stack([row[key] for row in rows]).to(device) for key in ("image", "label"))
        masks = deformed((label > 0).float(), seed).to(device)
        conditioning = {"masks": masks} if generator.content == "images_on_masks" else {}
        if kinds:
            conditioning["clusters"] = torch.tensor([kinds[row["id"]] for row in rows], device=device)
        lesion = new_lesion(image, label, masks, generator.content == "pairs")
        batches.append(Batch(seed, lesion, conditioning))
    return batches


def ways_of(generator: Generator, batches: Sequence[Batch], args: argparse.Namespace) -> tuple[dict[str, Way], ...]:
    """Return the ways to sample and the ways to inpaint, by name; the first of each is what ours are compared with."""

    def few(steps: int, inpaint: bool = False, **knobs: Any) -> Way:
        def draw(network: Network, batch: Batch) -> Tensor:
            gold, steering = batch.lesion.images, [batch.lesion] if inpaint else []
            fixed = {"seed": batch.seed, "device": gold.device}
            return sample(network, generator.process, gold.shape, steps, steering, **knobs, **fixed)

        return Way(generator, batches, draw)

    def ddpm(network: Network, batch: Batch) -> Tensor:
        return ancestral(network, batch.lesion.images, args.reference_steps, batch.seed)

    flow = generator.process.kind == "flow"
    many = few(args.reference_steps, eta=1) if flow else Way(generator, batches, ddpm)
    sampling = {f"ancestral{'' if flow else ' DDPM'}, {args.reference_steps} steps": many}
    sampling |= {f"labelmine, {steps} steps": few(steps, eta=args.eta) for steps in args.steps}
    steps, resamplings = args.repaint_steps, args.repaint_resamplings
    inpainting = {f"RePaint, {steps} steps x {resamplings}": few(steps, True, eta=1, resamplings=resamplings)}
    steps = args.steps[0]
    inpainting |= {f"labelmine inpainting, {steps} steps": few(steps, True, eta=args.inpainting_eta)}
    return sampling, inpainting


def figures_of(
    ways: dict[str, Way], seconds: dict[str, list[float]], distance: dict[str, float], bar: float
) -> list[dict[str, Any]]:
    """Return a row of figures for each way; those after the first are held against it and the bars."""
    reference, *_ = ways
    rows: list[dict[str, Any]] = []
    for name, way in ways.items():
        per_second = median(len(part) / s for part, s in zip(way.made, seconds[name], strict=True))
        row = {"way": name, "calls": way.calls // len(way.made), "images_per_second": per_second}
        row["frechet"] = distance[name]
        if name != reference:
            gain = Comparison.of(seconds[reference], seconds[name])
            worse = distance[name] / distance[reference]
            row |= {"ratio": gain.ratio, "spread": gain.spread, "bar": bar, "met": gain.ratio >= bar}
            row |= {"frechet_ratio": worse, "frechet_bar": FRECHET_BAR, "frechet_met": worse <= FRECHET_BAR}
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]], features: str) -> str:
    """Return the rows in Markdown."""
    heads = ["way", "network calls", "images per second", "faster", f"Fréchet distance, {features}", "by reference's"]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        cells = [row["way"], str(row["calls"]), f"{row['images_per_second']:.3g}", "", f"{row['frechet']:.4g}", ""]
        if "ratio" in row:
            met, near = ("met" if row[key] else "**missed**" for key in ("met", "frechet_met"))
            cells[3] = f"{Comparison(row['ratio'], row['spread'])}, bar {row['bar']:g}x {met}"
            cells[5] = f"{row['frechet_ratio']:.3f}, bar at most {FRECHET_BAR:g} {near}"
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def measure(
    groups: Sequence[dict[str, Way]], rounds: int, gold: Tensor, features: FeatureNetwork
) -> list[list[dict[str, Any]]]:
    """Time all ways in turns, a batch each in a round; return the rows of each group, see ``figures_of``."""
    ways = {name: way for group in groups for name, way in group.items()}
    way = next(iter(ways.values()))
    first = way.batches[0]
    with torch.no_grad():  # the warm-up: one call, as a whole sampling of 1000 would take as long as a round
        image = first.lesion.images
        way.generator(image, torch.ones(len(image), dtype=torch.long, device=image.device), **first.conditioning)
    seconds = time_side_by_side(ways, rounds, warm_up=0)
    real = features(gold)
    distance = {name: frechet_distance(features(way.images), real) for name, way in ways.items()}
    bars = (SAMPLING_BAR, INPAINTING_BAR)
    return [figures_of(group, seconds, distance, bar) for group, bar in zip(groups, bars, strict=True)]


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator_file", required=True, help="generator.safetensors that synthesize.yaml trained")
    parser.add_argument("--dataset_dir", required=True, help="the image set that it was trained on")
    parser.add_argument("--split_file", required=True, help="split.json of the run that trained it")
    parser.add_argument("--images", type=int, default=64, help="that each way makes, a multiple of --batch_size")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 25], help="ours; the first is the verdict's")
    parser.add_argument("--reference_steps", type=int, default=TRAIN_STEPS, help="fewer only to try the script")
    parser.add_argument("--repaint_steps", type=int, default=96)
    parser.add_argument("--repaint_resamplings", type=int, default=10)
    parser.add_argument("--eta", type=float, default=1.5, help="of our sampling, see synthesize.yaml")
    parser.add_argument("--inpainting_eta", type=float, default=3.0)
    parser.add_argument("--feature_network", default="compact", help="of the Fréchet distance: compact or inception")
    parser.add_argument("--bfloat16", action="store_true", help="on both sides, as synthesize.yaml samples")
    parser.add_argument("--json", help="file for the figures; the last line printed has them too")
    args = parser.parse_args()
    if args.batch_size < 1 or args.images < 2 or args.images % args.batch_size:
        parser.error(f"--images: expected a multiple of --batch_size {args.batch_size}, 2 or more. Got: {args.images}")
    return args


def main() -> None:
    """Measure all ways and print the table and the verdict."""
    args = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        images = prepare_image_set(args.dataset_dir, folder, split_file=args.split_file)
    generator, seed = load(args.generator_file, images, args.bfloat16)
    features = build_feature_network(args.feature_network, device)
    views = list(generator_views(gold_of_generator(images), images, generator.image_size))
    kinds = kinds_of(images, generator.image_size, features, generator.clusters, seed)
    rounds = args.images // args.batch_size
    batches = batches_of(generator.to(device), views, kinds, rounds, args.batch_size)
    gold = torch.stack([(view["image"] + 1) / 2 for view in views])
    sampling, inpainting = measure(ways_of(generator, batches, args), rounds, gold, features)
    what = f"{generator.content}, {generator.process.kind}, {generator.image_size} px, batch {args.batch_size}"
    print(f"{args.images} images of each way, {len(gold)} of gold; {what}, {machine()}\n")
    print(table([*sampling, *inpainting], features.name), end="\n\n")
    verdict = sampling[1]
    figures = {"images": args.images, "generator": what, "feature_network": features.name}
    figures |= {"machine": machine(), "sampling": sampling, "inpainting": inpainting}
    if args.json:
        write_whole(Path(args.json).expanduser(), json.dumps(figures, indent=2).encode())
    print_verdict("sample_images", verdict["ratio"], SAMPLING_BAR, device, **figures)


if __name__ == "__main__":
    main()
