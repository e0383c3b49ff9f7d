"""The search over prompts, with a teacher of which it is known what suits it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from labelmine.data import ClassMap, ImageSet, Item
from labelmine.errors import ConfigError, DataError
from labelmine.prompts import Prompts
from labelmine.teachers import Teacher, TeacherMasks
from labelmine.training import student_loader, view_dataset
from labelmine.workflows.search_prompts import (
    PromptSearch,
    PromptSetting,
    SearchedGold,
    SearchOptions,
    SearchSpace,
    default_setting,
)
from labelmine.workflows.search_prompts.search import RememberedStudent
from labelmine.workflows.search_prompts.settings import ordered_kinds

SIDE = 64


class ShyTeacher(Teacher):
    """Fills a box but for a sixth of it on each side, so that a margin of a quarter is exactly right."""

    name = "shy"
    weights_sha256 = "abc"
    fingerprint = "shy"

    def __init__(self, multimask: bool | None = None) -> None:
        self.encoded = self.decoded = 0
        self.multimask = multimask

    def encode(self, images: Tensor) -> Tensor:
        self.encoded += len(images)
        return images

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        self.decoded += 1
        assert prompts.boxes is not None
        logits = torch.full((len(prompts), *image_size), -10.0)
        for n, (x0, y0, x1, y1) in enumerate(prompts.boxes.tolist()):
            dx, dy = (x1 - x0) / 6, (y1 - y0) / 6
            logits[n, round(y0 + dy) : round(y1 - dy), round(x0 + dx) : round(x1 - dx)] = 10.0
        if self.multimask:
            logits = -logits  # the best of three is no good here
        return TeacherMasks(logits, torch.full((len(prompts),), 0.9))


class Threshold:
    """A student that finds what is bright, and counts how often it is asked."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return (images.mean(1, keepdim=True) - 0.5) * 20


@pytest.fixture
def bright(tmp_path: Path) -> ImageSet:
    """Six images with two bright squares each, sides multiples of 12 so that quarters and sixths are whole."""
    items = []
    for number in range(6):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8 : 20 + 12 * (number % 2), 6:18] = mask[26:38, 40:52] = 255
        picture = mask.copy()
        picture[0, 0] = 10 * number  # no two alike
        files = {"image": tmp_path / "images" / f"{number}.png", "label": tmp_path / "masks" / f"{number}.png"}
        for path, pixels in zip(files.values(), (picture, mask), strict=True):
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
        items.append(Item(id=str(number), group=str(number), image=str(files["image"]), label=str(files["label"])))
    return ImageSet("bright", tmp_path, items, ClassMap(), None, -1, {})


DEFAULT = default_setting(["box"], True, 0.0, 0.5, 3, None)


@pytest.fixture
def search(bright: ImageSet, tmp_path: Path) -> Callable[..., PromptSearch]:
    def make(name: str = "out", teacher: Any = None, student: Any = None, **knobs: Any) -> PromptSearch:
        space = knobs.pop("space", None) or SearchSpace(
            knobs.pop("default", DEFAULT), kinds=[["box"]], margins=[0.0, 0.25, 0.5], taus=[0.5], n_points=[3]
        )
        loader = student_loader(view_dataset(bright.items, bright, SIDE), 4, shuffle=False)
        gold = SearchedGold(bright, knobs.pop("items", bright.items), loader)
        options = SearchOptions(**knobs)
        return PromptSearch(teacher or ShyTeacher(), student or Threshold(), gold, tmp_path / name, space, options)

    return make


def trials(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "trials.csv", keep_default_na=False)


def test_a_better_margin_is_found_and_kept(search: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        kept = search()()
    assert (kept.margin, kept.per_component) == (0.25, True)
    table = trials(tmp_path / "out")
    assert len(table) == 1 + 6
    assert table["trial"][0] == "student alone"
    assert float(table["mean"][0]) == pytest.approx(1.0)  # the student is right; the search is about prompts
    row = table[table["kept"].astype(str) == "True"].iloc[0]
    assert (row["trial"], float(row["mean"]), int(row["n"])) == ("box, per component, margin 0.25, tau 0.5", 1.0, 6)
    assert float(row["low"]) > 0
    default = table[table["default"].astype(str) == "True"].iloc[0]
    assert float(row["difference"]) == pytest.approx(1 - float(default["mean"]), abs=1e-5)
    assert (float(default["difference"]), float(default["low"])) == (0, 0)
    knobs = yaml.safe_load((tmp_path / "out" / "prompts.yaml").read_text())
    assert knobs == {"prompt_kinds": ["box"], "n_points": 3, "tau": 0.5, "margin": 0.25, "per_component": True}
    assert "best of 6 settings: box, per component, margin 0.25, tau 0.5: Dice 1.0000" in caplog.text
    assert "6 possible settings, max_trials 40: all settings" in caplog.text
    assert str(tmp_path) not in (tmp_path / "out" / "prompts.yaml").read_text()


def test_the_default_stays_where_nothing_beats_it(search: Any, tmp_path: Path) -> None:
    best = default_setting(["box"], True, 0.25, 0.5, 3, None)
    assert search(default=best)() == best
    head = (tmp_path / "out" / "prompts.yaml").read_text()
    assert "none of 6 settings is better than the default" in head


def test_noise_is_no_reason_to_leave_the_default(search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image a little better and the others equal: the interval of the difference touches 0."""
    found = search()
    tables = {"student": 0.5, "box, per component, margin 0, tau 0.5": 0.5}
    original = PromptSearch._table

    def drawn(self: PromptSearch, name: str, answer: Any) -> pd.DataFrame:
        table = original(self, name, answer).assign(dice=tables.get(name, 0.4))
        if "per component, margin 0.25" in name:
            table["dice"] = [0.9, 0.5, 0.5, 0.5, 0.5, 0.5]
        return table

    monkeypatch.setattr(PromptSearch, "_table", drawn)
    assert found().margin == 0
    head = (tmp_path / "out" / "prompts.yaml").read_text()
    assert (
        "none of 6 settings beats the default beyond noise, so the default is kept; the best, box, per component"
        in head
    )
    assert yaml.safe_load(head)["margin"] == 0


def test_one_knob_after_the_other_finds_it_with_fewer_trials(search: Any, tmp_path: Path, caplog: Any) -> None:
    space = SearchSpace(
        default_setting(["box"], False, 0.0, 0.7, 3, None), kinds=[["box"]], margins=[0.0, 0.1, 0.25, 0.4],
        taus=[0.3, 0.5, 0.7],
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        kept = search(space=space, max_trials=10)()
    assert (kept.margin, kept.per_component) == (0.25, True)
    assert "24 possible settings, max_trials 10: one knob after the other, two rounds" in caplog.text
    assert len(trials(tmp_path / "out")) - 1 < 24


def test_a_killed_search_goes_on_and_ends_alike(search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search("whole")()
    files = ["trials.csv", "prompts.yaml", "metrics.json", "trials_per_image.csv"]
    tried = PromptSearch._tried

    def killed(self: PromptSearch, setting: PromptSetting) -> pd.DataFrame:
        if len(self._tables) == 4:
            raise KeyboardInterrupt
        return tried(self, setting)

    monkeypatch.setattr(PromptSearch, "_tried", killed)
    with pytest.raises(KeyboardInterrupt):
        search("killed")()
    monkeypatch.undo()
    assert not (tmp_path / "killed" / "trials.csv").exists()
    teacher, student = ShyTeacher(), Threshold()
    search("killed", teacher, student)()
    assert teacher.decoded == 3 * 2  # three settings were left, two batches each
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    again = ShyTeacher()
    search("killed", again)()
    assert again.encoded == 0


def test_each_image_is_predicted_once(search: Any) -> None:
    student = Threshold()
    search(student=student)()
    assert student.seen == 6


def test_a_remembered_student_answers_as_the_student(search: Any) -> None:
    images = torch.rand(3, 3, 8, 8)
    student = RememberedStudent(lambda x: x.mean(1, keepdim=True))
    assert torch.equal(student(images), images.mean(1, keepdim=True))
    assert torch.equal(student(images[[2, 0]]), images[[2, 0]].mean(1, keepdim=True))


def test_the_choice_of_masks_is_tried_and_put_back(search: Any, tmp_path: Path) -> None:
    teacher = ShyTeacher(multimask=True)
    space = SearchSpace(
        default_setting(["box"], True, 0.25, 0.5, 3, True), kinds=[["box"]], objects=["per_component"], margins=[0.25],
        taus=[0.5],
    )  # fmt: skip
    kept = search(teacher=teacher, space=space)()
    assert (kept.multimask, teacher.multimask) == (False, True)
    assert yaml.safe_load((tmp_path / "out" / "prompts.yaml").read_text())["teacher::multimask"] is False


def test_results_of_other_images_are_not_taken_up(search: Any, tmp_path: Path, bright: ImageSet) -> None:
    search()()
    other = search(items=bright.items[::-1])
    with pytest.raises(
        DataError, match=r"holds a search on other images. Give another --output_dir, or delete the file"
    ):
        other()


def test_settings_that_ask_the_same_are_tried_once() -> None:
    space = SearchSpace(default_setting(["points", "box"], True, 0.0, 0.5, 3, None))
    grid = space.grid()
    assert grid[0] == space.default
    # box: 3 margins x 3 taus x 2; points: 3 taus x 2 numbers x 2; both: 3 x 3 x 2 x 2
    assert len(grid) == len(set(grid)) == 18 + 12 + 36
    assert len({setting.name for setting in grid}) == len(grid)
    for start, knob in ((grid[5], "tau"), (grid[9], "margin")):
        line = space.along(knob, start)
        assert line[0] == start
        assert all(getattr(a, knob) != getattr(b, knob) for a, b in pairwise(line))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"kinds": [["boxes"]]}, r"kinds_tried: expected lists of points, box, mask, .*Got: \['boxes'\]"),
        ({"kinds": [[]]}, r"kinds_tried: expected lists .*Got: \[\]"),
        ({"objects": ["each"]}, r"objects: expected a list of per_component, whole. Got: \['each'\]"),
        ({"mask_choices": ["two"]}, r"mask_choices: expected a list of single, best_of_three. Got: \['two'\]"),
        ({"margins": [-0.1]}, r"margins: expected a list of numbers from 0 to inf. Got: -0.1"),
        ({"taus": ["half"]}, r"taus: expected a list of numbers from 0 to 1. Got: 'half'"),
        ({"n_points": [0]}, r"n_points_tried: expected a list of numbers from 1 to inf. Got: 0"),
    ],
)
def test_values_that_cannot_be_tried_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchSpace(default_setting(["box"], True, 0.0, 0.5, 3, True), **knobs)
    assert ordered_kinds(["box", "points"]) == ("points", "box")


def test_without_images_there_is_no_search(bright: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bright: expected images with gold to search on, found none"):
        PromptSearch(ShyTeacher(), Threshold(), SearchedGold(bright, [], []), tmp_path, SearchSpace(DEFAULT))
