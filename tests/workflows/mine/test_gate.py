"""The gate's stage: on phantoms with labelers of known quality, and on real polyps with a good and a broken teacher."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from labelmine.bundle import bundle_root
from labelmine.data import ImageSet, prepare_image_set
from labelmine.labelers import GatedLabeler, Labeler, PromptedLabeler, PseudoLabel
from labelmine.networks import Student
from labelmine.quality import agreement
from labelmine.teachers import CompactTeacher, build_compact_teacher
from labelmine.training import student_loader, view_dataset
from labelmine.workflows.mine.gate import GateStage
from labelmine.workflows.mine.held_out import HeldOut

SIZE = 64


def views(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Batches of squares of many sizes, bright on dark, with their gold."""
    rng = np.random.default_rng(start)
    batches = []
    for first in range(start, start + count, 4):
        gold = torch.zeros(4, 1, SIZE, SIZE)
        for mask in gold:
            side, x, y = rng.integers(6, 24), rng.integers(4, 36), rng.integers(4, 36)
            mask[:, y : y + side, x : x + side] = 1
        image = (0.2 + 0.6 * gold + 0.1 * torch.rand(4, 1, SIZE, SIZE)).expand(-1, 3, -1, -1)
        ids = [f"view_{first + n}" for n in range(4)]
        batches.append({"image": image, "label": gold, "weight": torch.ones_like(gold), "id": ids})
    return batches


def student(image: Tensor) -> Tensor:
    """Find the square, two pixels beside its place."""
    return (image[:, :1].roll(2, dims=-1) - 0.5) * 20


class Oracle(Labeler):
    """A labeler that knows gold and moves it by some pixels."""

    def __init__(self, moved: int) -> None:
        self.moved = moved

    def __call__(self, batch: Mapping[str, Any], student: Any) -> PseudoLabel:
        count = len(batch["image"])
        return PseudoLabel(
            mask=batch["label"].roll(self.moved, dims=-1),
            weight=torch.ones_like(batch["image"][:, :1]),
            score=torch.full((count,), 0.9),
            accepted=torch.ones(count, dtype=torch.bool),
            refusal=[None] * count,
            source={},
            prompts=[[] for _ in range(count)],
        )


class Unknowing(Oracle):
    """A labeler that, as recorded labels, has no answer on gold."""

    def knows(self, image_id: str) -> bool:
        return False


def gate_of(labeler: Any, folder: Path) -> dict[str, Any]:
    GateStage(labeler, [HeldOut(student, views(24))], views(8, 100), ["square"], folder)()
    verdict: dict[str, Any] = json.loads((folder / "gate.json").read_text())
    return verdict


@pytest.mark.parametrize(("moved", "who"), [(0, "labeler"), (30, "student")])
def test_the_better_one_labels(moved: int, who: str, tmp_path: Path) -> None:
    verdict = gate_of(Oracle(moved), tmp_path)
    overall = verdict["gate"]["rows"][0]
    assert overall["choice"] == who
    assert overall["n"] == 24
    table = pd.read_csv(tmp_path / "gate.csv")
    assert list(table["id"]) == [f"view_{n}" for n in range(24)]
    assert table[who].mean() == pytest.approx(overall[who], abs=1e-3)
    assert table[["student", "labeler", "blend"]].mean().idxmax() == who


def test_a_bad_labeler_is_said_to_be_bad(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        gate_of(Oracle(30), tmp_path)
    assert "the labeler does not help on held-out gold; the student's own masks take its place" in caplog.text
    assert "Dice on held-out gold, and who labels" in caplog.text


def test_scores_are_calibrated_without_answers_on_gold(tmp_path: Path) -> None:
    verdict = gate_of(Unknowing(0), tmp_path)
    assert verdict["gate"]["compared"] is False
    calibration = verdict["expected_dice"]["calibration"]
    assert len(calibration["observed"]) > 8 * 24
    gated = GatedLabeler(Unknowing(0), tmp_path / "gate.json")
    wrong = GatedLabeler(Unknowing(30), tmp_path / "gate.json")
    right_scores, wrong_scores = [], []
    for batch in views(16, 200):
        right_scores += gated(batch, student).score.tolist()
        wrong_scores += wrong(batch, student).score.tolist()
    assert np.mean(right_scores) > np.mean(wrong_scores) + 0.2


@pytest.mark.parametrize(("right", "expected"), [(8, 1.0), (6, 0.75), (0, 0.0)])
def test_how_often_an_empty_label_is_right_is_counted(right: int, expected: float, tmp_path: Path) -> None:
    """Eight images in which the student finds nothing, ``right`` of which show nothing in gold either."""
    batches = views(24)
    for number, batch in enumerate(batches[:2]):
        batch["image"] = torch.full_like(batch["image"], 0.2)
        for row in range(4):
            if number * 4 + row < right:
                batch["label"][row] = 0
    empty = Oracle(0)
    stage = GateStage(empty, [HeldOut(student, batches)], views(8, 100), ["square"], tmp_path, margin=1.0)
    stage()
    verdict = json.loads((tmp_path / "gate.json").read_text())
    assert verdict["empty_dice"] == expected


class Adjustable(Oracle):
    """A labeler that is moved less the higher its setting is, up to 0.7, from where on it answers nothing."""

    def __init__(self) -> None:
        super().__init__(0)
        self.setting = 0.0

    def __call__(self, batch: Mapping[str, Any], student: Any) -> PseudoLabel:
        self.moved = round(10 * (0.7 - self.setting))
        label = super().__call__(batch, student)
        return label if self.setting < 0.8 else replace(label, mask=torch.zeros_like(label.mask))

    def answers(self, batch: Mapping[str, Any], student: Any) -> dict[float, PseudoLabel]:
        before, answers = self.setting, {}
        for self.setting in (0.0, 0.7, 0.8):
            answers[self.setting] = self(batch, student)
        self.setting = before
        return answers

    def choose(self, setting: float) -> None:
        self.setting = setting


def test_held_out_gold_chooses_the_labelers_setting(tmp_path: Path) -> None:
    verdict = gate_of(Adjustable(), tmp_path)
    assert verdict["setting"] == 0.7
    assert verdict["gate"]["rows"][0]["labeler"] == 1.0, "the gate must compare what will label"
    labeler = Adjustable()
    label = GatedLabeler(labeler, tmp_path / "gate.json")(views(4)[0], student)
    assert labeler.setting == 0.7
    assert torch.equal(label.mask, views(4)[0]["label"])


class Doubting(Oracle):
    """A labeler that is perfect where it answers, under its stricter setting on every second image alone."""

    def __init__(self, silent: int) -> None:
        super().__init__(0)
        self.silent = silent

    def answers(self, batch: Mapping[str, Any], student: Any) -> dict[float, PseudoLabel]:
        moved, label = Oracle(3)(batch, student), self(batch, student)
        mask = label.mask.clone()
        mask[: self.silent] = 0
        return {0.0: moved, 0.8: replace(label, mask=mask)}


@pytest.mark.parametrize(("silent", "setting"), [(1, 0.8), (2, 0.0)])
def test_to_abstain_is_no_error_but_not_on_many_images(silent: int, setting: float, tmp_path: Path) -> None:
    verdict = gate_of(Doubting(silent), tmp_path)
    assert verdict["setting"] == setting
    overall = verdict["gate"]["rows"][0]
    if silent == 1:  # of four: the others are perfect, this one is the student's
        assert overall["labeler"] == pytest.approx(0.75 + overall["student"] / 4, abs=0.05)
        assert overall["choice"] == "labeler"


def test_a_verdict_stands_when_the_run_is_resumed(tmp_path: Path) -> None:
    gate_of(Oracle(30), tmp_path)
    assert gate_of(Oracle(0), tmp_path)["gate"]["rows"][0]["choice"] == "student"


def shuffled(teacher: CompactTeacher) -> CompactTeacher:
    """The same teacher with the weights of its prompt encoder in random order."""
    generator = torch.Generator().manual_seed(0)
    for value in [*teacher.prompt_encoder.parameters(), *teacher.prompt_encoder.buffers()]:
        order = torch.randperm(value.numel(), generator=generator)
        value.data = value.data.flatten()[order].reshape(value.shape)
    return teacher


@pytest.mark.shared
@pytest.mark.slow
def test_a_broken_teacher_cannot_spoil_labels_of_real_polyps(shared_data: Path, tmp_path: Path) -> None:
    """The prompt encoder shuffled: its own masks are worse than the student's, and the gate's labels are not."""
    rows = sorted((shared_data / "kvasir_seg" / "images").iterdir())[:90]
    lines = ["id,image,label,group,split"]
    splits = ["val"] * 40 + ["test"] * 40 + ["train"] * 10
    for path, split in zip(rows, splits, strict=True):
        mask = next((shared_data / "kvasir_seg" / "masks").glob(f"{path.stem}.*"))
        lines.append(f"{path.stem},{path},{mask},{path.stem},{split}")
    (tmp_path / "set.csv").write_text("\n".join(lines))
    images = prepare_image_set(str(tmp_path / "set.csv"), str(tmp_path / "run"))
    polyps = Student.load(bundle_root() / "models" / "model.safetensors")[0]
    broken = PromptedLabeler(shuffled(build_compact_teacher("compact")), min_score=0)
    held_out = [HeldOut(polyps, loader(images, "val", 128))]
    stage = GateStage(broken, held_out, loader(images, "train", 128), images.classes.names, tmp_path)
    stage()
    overall = json.loads((tmp_path / "gate.json").read_text())["gate"]["rows"][0]
    assert overall["labeler"] < overall["student"] - 0.03
    assert overall["choice"] != "labeler"
    gated, own, teacher = [], [], []
    label = GatedLabeler(broken, tmp_path / "gate.json", min_score=0)
    for batch in loader(images, "test", 128):
        gated += agreement(label(batch, polyps).mask, batch["label"]).tolist()
        teacher += agreement(broken(batch, polyps).mask, batch["label"]).tolist()
        own += agreement(_mask(polyps, batch), batch["label"]).tolist()
    assert np.mean(gated) > np.mean(own) - 0.01
    assert np.mean(gated) > np.mean(teacher) + 0.03


def test_each_student_is_asked_about_what_it_never_saw(tmp_path: Path) -> None:
    def blind(image: Tensor) -> Tensor:
        return torch.full_like(image[:, :1], -20.0)

    GateStage(
        Oracle(0), [HeldOut(blind, views(24)), HeldOut(student, views(24, 24))], views(8, 100), ["square"], tmp_path
    )()
    table = pd.read_csv(tmp_path / "gate.csv")
    assert table["id"].tolist() == [f"view_{n}" for n in range(48)]
    assert (table["student"][:24] == 0).all()
    assert (table["student"][24:] > 0.5).all()
    assert (table["labeler"] == 1).all()


def loader(images: ImageSet, split: str, size: int) -> Any:
    return student_loader(view_dataset(getattr(images, split), images, size), 4, shuffle=False)


@torch.no_grad()
def _mask(student: Student, batch: Mapping[str, Any]) -> Tensor:
    return student(batch["image"]).sigmoid() * (batch["weight"] > 0)
