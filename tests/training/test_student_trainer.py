from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine, Events
from monai.transforms import RandFlipd, RandRotated

from labelmine.data import ImageSet, prepare_image_set
from labelmine.errors import ConfigError
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.training import (
    PrepareStudentBatch,
    TrainingPlan,
    learning_rate_schedule,
    new_student,
    student_evaluator,
    student_loader,
    student_trainer,
    view_dataset,
)
from labelmine.training.plan import encoder_apart
from labelmine.transforms import BatchAugment
from makers import Killed

KEYS = ("image", "label", "weight")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return prepare_image_set(None, str(tmp_path_factory.mktemp("set")), phantom_size=48, phantom_count=20)


def student(exclusive: bool = False) -> Student:
    return new_student(["lesion"], "mobilenet_v2", None, exclusive, seed=0, device="cpu")


def plan(exclusive: bool = False, **knobs: Any) -> TrainingPlan:
    augment = BatchAugment(
        [RandFlipd(KEYS, prob=0.5, spatial_axis=0), RandRotated(KEYS, prob=0.5, range_x=0.5, padding_mode="zeros")]
    )
    return TrainingPlan(
        loss=WeightedBCEDiceLoss(exclusive),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        scheduler=lambda optimizer, steps: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
        augment=augment,
        image_size=64,
        **knobs,
    )


def loaders(images: ImageSet) -> tuple[Any, Any]:
    train = student_loader(view_dataset(images.train, images, 64), 2, steps=2)
    return train, student_loader(view_dataset(images.val, images, 64), 2, shuffle=False)


def train(images: ImageSet, folder: Path, kill_at: int | None = None) -> Student:
    network = student()
    trainer = student_trainer(plan(), network, *loaders(images), max_epochs=3, folder=str(folder))
    if kill_at is not None:

        def kill(engine: Engine) -> None:
            raise Killed

        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=kill_at), kill)
    trainer.run()
    return network


def test_a_killed_training_ends_with_the_same_student(
    images: ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = train(images, tmp_path / "whole")
    with pytest.raises(Killed):
        train(images, tmp_path / "killed", kill_at=4)  # within the second epoch of two steps

    with caplog.at_level("INFO", "labelmine"):
        resumed = train(images, tmp_path / "killed")

    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    best = [(tmp_path / run / "best.safetensors").read_bytes() for run in ("whole", "killed")]
    assert best[0] == best[1]
    curves = [pd.read_csv(tmp_path / run / "history.csv").drop(columns="seconds") for run in ("whole", "killed")]
    pd.testing.assert_frame_equal(*curves)
    assert list(curves[0]) == ["epoch", "step", "train_loss", "val_dice", "val_loss", "learning_rate"]
    told = [message.split(", ")[:3] for message in caplog.messages if ": epoch " in message]
    rows = curves[0].iloc[1:]
    assert told == [
        [f"killed: epoch {row.epoch:.0f}/3", f"loss {row.train_loss:.3f}", f"val_dice {row.val_dice:.3f}"]
        for row in rows.itertuples()
    ]


@pytest.mark.parametrize("exclusive", [False, True])
def test_validation_against_a_slow_recomputation(images: ImageSet, exclusive: bool) -> None:
    network = student(exclusive)
    _, loader = loaders(images)
    evaluator = student_evaluator(plan(exclusive), network, loader)
    evaluator.run()

    dice, losses = [], []
    for sample in loader.dataset:
        with torch.no_grad():
            logits = network.eval()(sample["image"][None])
        inside = sample["weight"][0].numpy() > 0
        prediction = (logits.argmax(1)[0] == 1 if exclusive else logits[0, 0] > 0).numpy()[inside]
        gold = sample["label"][0].numpy()[inside] > 0
        total = prediction.sum() + gold.sum()
        dice.append(2 * (prediction & gold).sum() / total if total else 1.0)
        target = torch.cat([sample["label"], sample["weight"]])[None]
        losses.append(WeightedBCEDiceLoss(exclusive)(logits, target).item())
    assert evaluator.state.metrics["val_dice"] == pytest.approx(np.mean(dice), abs=1e-4)
    assert evaluator.state.metrics["val_loss"] == pytest.approx(np.mean(losses), abs=1e-4)


def test_new_students_differ_by_seed_alone() -> None:
    first, again = student().state_dict(), student().state_dict()
    other = new_student(["lesion"], "mobilenet_v2", None, False, seed=1, device="cpu").state_dict()
    name = next(iter(first))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert any(not torch.equal(first[k], other[k]) for k in first), name


def test_a_batch_becomes_images_and_weighted_targets(images: ImageSet) -> None:
    batch = next(iter(loaders(images)[1]))
    image, target = PrepareStudentBatch()(batch, "cpu")
    assert torch.equal(image, batch["image"])
    assert torch.equal(target, torch.cat([batch["label"], batch["weight"]], dim=1))


class Sized:
    """Stands for a dataset of items with and without gold."""

    def __init__(self, n_gold: int, n_pseudo: int) -> None:
        self.data = [{"label": "mask.png"}] * n_gold + [{}] * n_pseudo

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> int:
        return index


@pytest.mark.parametrize(
    ("knobs", "sizes"),
    [
        ({"batch_size": 4}, [4, 4]),  # the last batch of one image is left out
        ({"batch_size": 4, "shuffle": False}, [4, 4, 1]),
        ({"batch_size": 4, "steps": 5}, [4] * 5),
        ({"batch_size": 20}, [9]),
        ({"batch_size": 4, "gold_share": 0.5}, [4, 4]),
        ({"batch_size": 4, "gold_share": 0.5, "steps": 3}, [4] * 3),
    ],
)
def test_batches_per_epoch(knobs: dict[str, Any], sizes: list[int]) -> None:
    loader = student_loader(Sized(3, 6), **knobs)  # type: ignore[arg-type]
    assert [len(batch) for batch in loader] == sizes


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_share_of_gold_in_a_batch(share: float) -> None:
    torch.manual_seed(0)
    loader = student_loader(Sized(5, 200), batch_size=50, steps=100, gold_share=share)  # type: ignore[arg-type]
    drawn = torch.cat(list(loader))
    assert (drawn < 5).float().mean().item() == pytest.approx(share, abs=0.03)


def test_gold_alone_is_drawn_evenly() -> None:
    torch.manual_seed(0)
    loader = student_loader(Sized(4, 0), batch_size=50, steps=40, gold_share=0.5)  # type: ignore[arg-type]
    counts = torch.bincount(torch.cat(list(loader)), minlength=4) / 2000
    assert counts.tolist() == pytest.approx([0.25] * 4, abs=0.05)


def scheduled(images: ImageSet, folder: Path, name: str, **knobs: Any) -> Any:
    """Train for 4 epochs of 2 steps along a schedule; return the trainer."""
    rated = replace(plan(patience=None, **knobs), scheduler=partial(learning_rate_schedule, name=name))
    trainer = student_trainer(rated, student(), *loaders(images), max_epochs=4, folder=str(folder))
    trainer.run()
    return trainer


def test_the_learning_rate_falls_along_a_cosine_whatever_validation_says(images: ImageSet, tmp_path: Path) -> None:
    trainer = scheduled(images, tmp_path, "cosine", keep_epoch="last")
    history = pd.read_csv(tmp_path / "history.csv")
    expected = [1e-3 * (1 + np.cos(np.pi * step / 8)) / 2 for step in (2, 4, 6, 8)]
    np.testing.assert_allclose(history["learning_rate"], expected, atol=1e-9)
    assert history["step"].tolist() == [2, 4, 6, 8]
    kept, last = Student.load(tmp_path / "best.safetensors")[0], trainer.network
    for name, value in last.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], value)


def test_one_cycle_rises_and_falls_to_nothing(images: ImageSet, tmp_path: Path) -> None:
    scheduled(images, tmp_path, "one_cycle")
    rates = pd.read_csv(tmp_path / "history.csv")["learning_rate"].tolist()
    assert rates[0] > 5e-4
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-6


def test_the_average_is_kept_and_validated(images: ImageSet, tmp_path: Path) -> None:
    trainer = scheduled(images, tmp_path, "cosine", keep_epoch="average", average_decay=0.8)
    kept, last = Student.load(tmp_path / "best.safetensors")[0].state_dict(), trainer.network.state_dict()
    name = "network.segmentation_head.0.weight"
    assert not torch.equal(kept[name], last[name])
    distance = (kept[name] - last[name]).norm() / last[name].norm()
    assert distance < 0.1  # near the last steps, not at the random start


def test_the_first_epochs_see_smaller_images(images: ImageSet, tmp_path: Path) -> None:
    small = replace(plan(), small_share=0.5)
    trainer = student_trainer(small, student(), *loaders(images), max_epochs=4, folder=tmp_path)
    sides = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: sides.append(engine.state.output["pred"].shape[-1])
    )
    trainer.run()
    assert sides == [32, 32, 32, 32, 64, 64, 64, 64]
    assert Student.load(tmp_path / "best.safetensors")[1]["image_size"] == 64


def test_an_average_that_was_killed_goes_on(images: ImageSet, tmp_path: Path) -> None:
    averaged = replace(plan(keep_epoch="average"), scheduler=partial(learning_rate_schedule, name="one_cycle"))
    for name, kill_at in (("whole", None), ("killed", 5)):
        for attempt in (kill_at, None):
            trainer = student_trainer(averaged, student(), *loaders(images), max_epochs=3, folder=tmp_path / name)
            if attempt is not None:

                def kill(engine: Engine) -> None:
                    raise Killed

                trainer.add_event_handler(Events.ITERATION_COMPLETED(once=attempt), kill)
                with pytest.raises(Killed):
                    trainer.run()
            else:
                trainer.run()
    whole, killed = (Student.load(tmp_path / name / "best.safetensors")[0].state_dict() for name in ("whole", "killed"))
    for key, value in whole.items():
        torch.testing.assert_close(killed[key], value)


def test_the_encoder_has_a_rate_of_its_own() -> None:
    network = student()
    rest, encoder = encoder_apart(network, 2e-4)
    assert encoder["lr"] == 2e-4
    assert "lr" not in rest
    assert {id(p) for p in encoder["params"]} == {id(p) for p in network.network.encoder.parameters()}
    assert len(encoder["params"]) + len(rest["params"]) == len(list(network.parameters()))


def test_a_plateau_is_s1_s() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=5e-5)
    schedule = learning_rate_schedule(optimizer, 100, "plateau")
    for _ in range(5):
        schedule.step(1.0)  # the first is the best; patience 3
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2.5e-5)


def test_mistyped_schedules_and_epochs() -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    with pytest.raises(ConfigError, match=r"lr_schedule: expected 'plateau', 'cosine' or 'one_cycle'. Got: 'step'"):
        learning_rate_schedule(optimizer, 1, "step")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"keep_epoch: expected 'best', 'last' or 'average'. Got: 'first'"):
        plan(keep_epoch="first")
