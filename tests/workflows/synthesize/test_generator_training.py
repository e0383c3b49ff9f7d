"""A generator's training: that it goes on where it was killed, and what its file and its grids say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from PIL import Image
from torch import Tensor, nn

from labelmine.data import ClassMap, ImageSet, Item, prepare_image_set
from labelmine.errors import ConfigError, DataError
from labelmine.run.files import GENERATOR_FILE
from labelmine.run.knobs import GoldKnobs
from labelmine.synthesis import Generator
from labelmine.training.task import TaskKnobs
from labelmine.workflows.synthesize import FeatureNetwork, SynthesizeKnobs
from labelmine.workflows.synthesize.generator_training import (
    _explain,
    generator_loader,
    generator_trainer,
    gold_digests,
    kinds_of,
    new_generator,
)
from labelmine.workflows.synthesize.knobs import GeneratorKnobs
from labelmine.workflows.synthesize.sample_grid import draw
from makers import knobs_of

SMALL: dict[str, Any] = {
    "generator_size": 16, "channels": [32, 32], "attention": [False, True], "res_blocks": 1, "bfloat16": False,
    "generator_epochs": 3, "generator_steps": 2, "generator_batch_size": 2, "generator_ema": 0.5,
    "generator_learning_rate": 1.0e-3, "grid_every": 0, "device": "cpu",
}  # fmt: skip
COLOURS = FeatureNetwork("mean colours", lambda images: images.mean((-2, -1)))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """16 training images."""
    return prepare_image_set(None, str(tmp_path_factory.mktemp("set")), phantom_size=32, phantom_count=160)


def speaking(network: Generator) -> Generator:
    """Give all weights a value: MONAI starts the last layer at zero, where most gradients vanish."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.05)
    return network


def small(**knobs: Any) -> SynthesizeKnobs:
    """Three epochs of two batches of two."""
    found: SynthesizeKnobs = knobs_of("synthesize", **{**SMALL, **knobs})
    return found


def untrained(images: ImageSet, **knobs: Any) -> Generator:
    return new_generator(small(**knobs), images)


def training(
    images: ImageSet,
    folder: Path,
    network: Generator | None = None,
    kinds: Mapping[str, int] | None = None,
    **changes: Any,
) -> SupervisedTrainer:
    knobs = small(**changes)
    network = network or new_generator(knobs, images)
    loader = generator_loader(images, network, knobs.generator_batch_size, knobs.generator_steps)
    return generator_trainer(network, loader, images, kinds or {}, knobs, folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Path:
    """A training that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    training(images, folder).run()
    return folder


def killed(*_: Any) -> None:
    raise RuntimeError("killed")


@pytest.mark.parametrize(
    "event",
    [
        Events.ITERATION_COMPLETED(once=3),  # within epoch 2
        Events.ITERATION_COMPLETED(once=4),  # epoch 2 is learnt, but not written
        Events.EPOCH_COMPLETED(once=2),
        Events.EPOCH_COMPLETED(once=3),  # all is learnt, but the file is not written
    ],
    ids=["within", "before_checkpoint", "between", "before_file"],
)
def test_a_killed_training_ends_with_the_same_file(images: ImageSet, tmp_path: Path, whole: Path, event: Any) -> None:
    broken = training(images, tmp_path)
    broken.add_event_handler(event, killed)
    with pytest.raises(RuntimeError, match=r"^killed$"):
        broken.run()
    assert not (tmp_path / GENERATOR_FILE).exists()
    # Another start, which the checkpoint must replace altogether.
    training(images, tmp_path, untrained(images, seed=5)).run()
    assert (tmp_path / GENERATOR_FILE).read_bytes() == (whole / GENERATOR_FILE).read_bytes()
    curves = [pd.read_csv(folder / "history.csv").drop(columns="seconds") for folder in (tmp_path, whole)]
    assert curves[0]["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(*curves)


def test_another_seed_trains_another_generator(images: ImageSet, tmp_path: Path, whole: Path) -> None:
    training(images, tmp_path, untrained(images), seed=1).run()
    other, first = (Generator.load(folder / GENERATOR_FILE)[0] for folder in (tmp_path, whole))
    assert any(not torch.equal(a, b) for a, b in zip(other.parameters(), first.parameters(), strict=True))


def test_the_file_says_on_which_gold_it_was_trained(images: ImageSet, whole: Path) -> None:
    _, told = Generator.load(whole / GENERATOR_FILE)
    digests = [hashlib.sha256(Path(item["image"]).read_bytes()).hexdigest()[:16] for item in images.train]
    assert told["trained_on"] == sorted(digests) == gold_digests(images)
    assert len(told["trained_on"]) == 16
    assert (told["epochs"], told["seed"], told["class_names"]) == (3, 0, ["foreground"])


def test_two_batches_make_one_step_of_their_mean_gradient(
    images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.optim, "AdamW", torch.optim.SGD)  # its step tells a gradient's size
    network = speaking(untrained(images))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    trainer = training(images, tmp_path, network, generator_epochs=1, accumulation_steps=2, generator_learning_rate=0.1)
    batches, rates = heard(trainer)
    trainer.run()
    assert len(batches) == 2
    (rate,) = rates
    twin = speaking(untrained(images))
    losses = [nn.functional.mse_loss(twin(noisy, told["times"]), target) for noisy, target, _, told in batches]
    gradients = torch.autograd.grad(torch.stack(losses).mean(), list(twin.parameters()))
    expected = [weight - rate * gradient for weight, gradient in zip(before, gradients, strict=True)]
    torch.testing.assert_close([p.detach() for p in network.parameters()], expected, atol=1e-6, rtol=1e-4)
    assert max(float((a - b).abs().max()) for a, b in zip(before, expected, strict=True)) > 1e-4


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_average_moves_once_a_step(images: ImageSet, tmp_path: Path, accumulation: int) -> None:
    network = speaking(untrained(images))
    weight = next(network.parameters())
    average = weight.detach().clone()
    trainer = training(
        images, tmp_path, network, generator_epochs=2, accumulation_steps=accumulation, generator_ema=0.9
    )
    steps: list[Tensor] = []
    trainer.optimizer.register_step_post_hook(lambda *_: steps.append(weight.detach().clone()))
    trainer.run()
    assert len(steps) == 4 // accumulation
    for step in steps:
        average = 0.9 * average + 0.1 * step
    torch.testing.assert_close(next(Generator.load(tmp_path / GENERATOR_FILE)[0].parameters()), average)


def heard(trainer: SupervisedTrainer) -> tuple[list[Any], list[float]]:
    """Collect the batches that a trainer prepares, and the learning rate of each step."""
    batches: list[Any] = []
    rates: list[float] = []
    prepare = trainer.prepare_batch

    def listen(*args: Any, **knobs: Any) -> Any:
        batches.append(prepare(*args, **knobs))
        return batches[-1]

    trainer.prepare_batch = listen
    trainer.optimizer.register_step_pre_hook(lambda *_: rates.append(trainer.optimizer.param_groups[0]["lr"]))
    return batches, rates


def test_the_learning_rate_warms_up_and_falls(images: ImageSet, tmp_path: Path) -> None:
    trainer = training(
        images, tmp_path, generator_learning_rate=1.0e-2, generator_epochs=2, generator_steps=20, generator_batch_size=1
    )
    _, rates = heard(trainer)
    trainer.run()
    assert len(rates) == 40
    assert rates[0] == pytest.approx(1e-3)  # a tenth, two steps before the whole
    assert max(rates) == rates[2] == pytest.approx(1e-2)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 1e-4


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3]), (2, [2, 3]), (5, [3]), (0, [])])
def test_grids_are_drawn_every_few_epochs_and_at_the_end(
    images: ImageSet, tmp_path: Path, whole: Path, every: int, epochs: list[int]
) -> None:
    training(images, tmp_path, grid_every=every).run()
    found = sorted(path.name for path in tmp_path.glob("samples/*"))
    assert found == [f"epoch_{epoch:04d}.png" for epoch in epochs]
    # To draw takes nothing from what is learnt.
    assert (tmp_path / GENERATOR_FILE).read_bytes() == (whole / GENERATOR_FILE).read_bytes()


def test_grids_of_a_generator_that_is_told_masks_and_kinds(images: ImageSet, tmp_path: Path) -> None:
    network = untrained(images, content="images_on_masks", clusters=2)
    kinds = {item["id"]: number % 2 for number, item in enumerate(images.train)}
    training(images, tmp_path, network, kinds, grid_every=1, generator_epochs=1).run()
    with Image.open(tmp_path / "samples" / "epoch_0001.png") as grid:
        assert grid.size == (8 * 17 + 1, 2 * 17 + 1)
        assert (255, 212, 0) in {colour for _, colour in grid.convert("RGB").getcolors(grid.width * grid.height)}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_explained(images: ImageSet, tmp_path: Path, error: Exception) -> None:
    with pytest.raises(ConfigError, match=r"^out of memory: give a smaller --\w*batch_size") as caught:
        failing(images, tmp_path, error).run()
    assert caught.value.__cause__ is error


def test_the_knobs_that_save_memory_are_the_generators_own() -> None:
    with pytest.raises(ConfigError, match=r"^out of memory") as caught:
        _explain(Engine(lambda *_: None), torch.OutOfMemoryError("CUDA out of memory."))
    own = set(GeneratorKnobs.model_fields) - set(TaskKnobs.model_fields) - set(GoldKnobs.model_fields)
    named = set(re.findall(r"--(\w+)", str(caught.value)))
    assert named
    assert named <= own


def test_other_errors_stay_what_they_are(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^shapes cannot be multiplied$"):
        failing(images, tmp_path, RuntimeError("shapes cannot be multiplied")).run()


def failing(images: ImageSet, folder: Path, error: Exception) -> SupervisedTrainer:
    """A training whose network raises an error."""

    def forward(*_: Any, **__: Any) -> Tensor:
        raise error

    network = untrained(images)
    trainer = training(images, folder, network)
    network.forward = forward  # type: ignore[method-assign]
    return trainer


def test_an_epoch_has_as_many_batches_as_asked(images: ImageSet) -> None:
    batches = list(generator_loader(images, untrained(images), batch_size=3, steps=7))
    assert len(batches) == 7
    assert {tuple(batch["image"].shape) for batch in batches} == {(3, 3, 16, 16)}
    assert {tuple(batch["label"].shape) for batch in batches} == {(3, 1, 16, 16)}
    assert {name for batch in batches for name in batch["id"]} <= {item["id"] for item in images.train}


def test_a_class_without_gold_is_refused_where_masks_are_made(images: ImageSet) -> None:
    two = replace(images, classes=ClassMap(("lesion", "stone"), (255, 7)))
    with pytest.raises(DataError, match="no gold training image shows stone at this size"):
        generator_loader(two, untrained(two), 2, 1)
    assert len(generator_loader(two, untrained(two, content="images"), 2, 1)) == 1


def test_too_few_gold_images_are_refused(images: ImageSet) -> None:
    few = replace(images, items=images.train[:15])
    with pytest.raises(DataError, match="15 gold images to train on, expected 16 or more"):
        generator_loader(few, untrained(images), 2, 1)


def test_kinds_tell_images_apart_that_differ(tmp_path: Path) -> None:
    items: list[Item] = []
    for number in range(16):
        for part, shade in (("image", 20 + 200 * (number % 2) + number), ("mask", 255)):
            Image.new("L", (16, 16), shade).save(tmp_path / f"{part}{number}.png")
        label = str(tmp_path / f"mask{number}.png")
        items.append(Item(id=f"i{number}", image=str(tmp_path / f"image{number}.png"), label=label, group=f"i{number}",
                          split="train"))  # fmt: skip
    kinds = kinds_of(ImageSet("shades", tmp_path, items, ClassMap(), None, -1, {}), 16, COLOURS, 2)
    assert set(kinds) == {item["id"] for item in items}
    dark, light = ({kinds[f"i{n}"] for n in range(first, 16, 2)} for first in (0, 1))
    assert sorted(dark | light) == [0, 1]
    assert len(dark) == len(light) == 1


def test_kinds_that_nobody_asked_for_are_none(images: ImageSet) -> None:
    assert kinds_of(images, 16, COLOURS, 0) == {}
    with pytest.raises(ConfigError, match=r"clusters: expected 1 to 4"):
        kinds_of(images, 16, COLOURS, 5)


def test_the_same_seed_starts_and_draws_the_same(images: ImageSet) -> None:
    first, again, other = (untrained(images, seed=seed) for seed in (3, 3, 4))
    weights = [network.network.state_dict()["conv_in.conv.weight"] for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    made = [draw(first, 2, 2, seed=seed) for seed in (0, 0, 1)]
    assert made[0].shape == (2, 4, 16, 16)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
