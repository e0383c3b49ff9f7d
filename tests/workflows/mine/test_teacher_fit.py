"""The teacher's fit: a decoder that knew nothing of the images learns them; one that brings no gain is not kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from labelmine.errors import DataError
from labelmine.labelers import PromptedLabeler, SelfLabeler
from labelmine.labelers.fitted import fitted_labeler, kept_decoder
from labelmine.prompts import PromptGenerator
from labelmine.teachers import CompactTeacher
from labelmine.teachers.build import frozen
from labelmine.teachers.fitted import FLIPS
from labelmine.workflows.mine import decoder_fit, teacher_fit
from labelmine.workflows.mine.decoder_fit import _answers, fit_decoder, read_fit_images
from labelmine.workflows.mine.held_out import HeldOut
from labelmine.workflows.mine.teacher_fit import TeacherFit

SIZE = 64


def views(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Batches of bright ellipses, whose boxes say less than their edges do."""
    rng = np.random.default_rng(start)
    y, x = np.mgrid[:SIZE, :SIZE]
    batches = []
    for first in range(start, start + count, 4):
        gold = torch.zeros(4, 1, SIZE, SIZE)
        for mask in gold:
            (a, b), (cx, cy) = rng.integers(8, 18, 2), rng.integers(20, 44, 2)
            mask[0] = torch.from_numpy((x - cx) ** 2 / a**2 + (y - cy) ** 2 / b**2 < 1).float()
        image = (0.2 + 0.6 * gold).expand(-1, 3, -1, -1)
        ids = [f"view_{first + n}" for n in range(4)]
        batches.append({"image": image, "label": gold, "weight": torch.ones_like(gold), "id": ids})
    return batches


def student(image: Tensor) -> Tensor:
    """Find the ellipse, some pixels beside its place."""
    return (image[:, :1].roll(4, dims=-1) - 0.5) * 20


@pytest.fixture
def labeler() -> PromptedLabeler:
    torch.manual_seed(0)
    return PromptedLabeler(frozen(CompactTeacher(SIZE, weights_sha256="abc")))


@pytest.fixture(autouse=True)
def large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder of random weights has further to go than a trained one."""
    monkeypatch.setattr(decoder_fit, "LEARNING_RATE", 2e-3)


def fit(labeler: PromptedLabeler, folder: Path, steps: int, folds: Iterable[HeldOut] = ()) -> dict[str, Any]:
    validation = HeldOut(student, views(8, 50))
    TeacherFit(labeler, list(folds), views(12), validation, steps, folder)()
    verdict: dict[str, Any] = json.loads((folder / "fitted_teacher" / "fitted.json").read_text())
    return verdict


def test_a_decoder_that_knew_nothing_learns_and_is_kept(labeler: PromptedLabeler, tmp_path: Path) -> None:
    verdict = fit(labeler, tmp_path, 40)
    assert verdict["kept"]
    assert verdict["dice"]["fitted"] > verdict["dice"]["original"] + 0.1
    assert (verdict["n"], verdict["n_gold"], verdict["steps"]) == (8, 12, 40)
    fitted = fitted_labeler(labeler, tmp_path)
    assert fitted is not labeler
    assert fitted.source["decoder_sha256"] == fitted.teacher.decoder_sha256
    assert "decoder_sha256" not in labeler.source


def test_folds_are_examined_by_decoders_that_did_not_learn_from_them(labeler: PromptedLabeler, tmp_path: Path) -> None:
    folds = [HeldOut(student, views(4)), HeldOut(student, views(8, 4))]
    verdict = fit(labeler, tmp_path, 2, folds)
    assert (verdict["n"], verdict["n_gold"]) == (20, 12)
    names = {path.stem for path in (tmp_path / "fitted_teacher").glob("*.safetensors")}
    assert names == {"fold_0", "fold_1", "decoder"}


def test_without_a_gain_the_teacher_labels_as_it_came(
    labeler: PromptedLabeler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_fit, "MIN_GAIN", 1.0)
    assert not fit(labeler, tmp_path, 1)["kept"]
    assert kept_decoder(tmp_path) is None
    assert fitted_labeler(labeler, tmp_path) is labeler


def test_a_fit_that_was_interrupted_goes_on(
    labeler: PromptedLabeler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fit(labeler, tmp_path, 3)
    stamp = (tmp_path / "fitted_teacher" / "decoder.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(teacher_fit, "fit_decoder", None)  # nothing is fitted again
    (tmp_path / "fitted_teacher" / "fitted.json").unlink()
    assert fit(labeler, tmp_path, 3) == before
    assert (tmp_path / "fitted_teacher" / "decoder.safetensors").stat().st_mtime_ns == stamp


def test_a_fit_that_is_made_again_is_the_same_file(labeler: PromptedLabeler, tmp_path: Path) -> None:
    folds = [HeldOut(student, views(4)), HeldOut(student, views(8, 4))]
    fit(labeler, tmp_path, 2, folds)
    before = {path: path.read_bytes() for path in (tmp_path / "fitted_teacher").iterdir()}
    for path in before:
        path.unlink()
    fit(labeler, tmp_path, 2, folds)
    assert {path: path.read_bytes() for path in before} == before


def test_what_is_right_is_the_gold_that_a_prompt_s_object_shares() -> None:
    gold = np.zeros((1, 32, 32), bool)
    gold[0, 2:10, 2:10] = gold[0, 20:28, 20:28] = True
    drawn = np.zeros((1, 1, 32, 32), np.float32)
    drawn[0, 0, 1:9, 2:10] = drawn[0, 0, 4:10, 20:28] = 0.9  # beside the first object, and where there is none
    answers, sides = _answers(drawn, [gold], PromptGenerator())
    assert answers.shape == (2, 1, 32, 32)
    np.testing.assert_array_equal(answers[0, 0, :16, :16].bool(), gold[0, :16, :16])
    assert answers[0].sum() == 64
    assert answers[1].sum() == 0
    assert sides.tolist() == pytest.approx([8, 48**0.5])


def test_equal_seeds_fit_equally(labeler: PromptedLabeler) -> None:
    images = read_fit_images(labeler.teacher, views(8), student, False, len(FLIPS))
    assert [len(image.embeddings) for image in images] == [4] * 8
    first, again, other = (
        fit_decoder(labeler.teacher, images, labeler.prompts, 2, seed).decoder.state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_verdict_without_its_decoder_is_named(labeler: PromptedLabeler, tmp_path: Path) -> None:
    fit(labeler, tmp_path, 40)
    (tmp_path / "fitted_teacher" / "decoder.safetensors").unlink()
    with pytest.raises(DataError, match="the decoder that this run keeps is missing"):
        kept_decoder(tmp_path)
    (tmp_path / "fitted_teacher" / "fitted.json").write_text("{")
    with pytest.raises(DataError, match=r"fitted.json: damaged"):
        kept_decoder(tmp_path)
    assert isinstance(fitted_labeler(SelfLabeler(False), tmp_path), SelfLabeler)  # it asks no teacher
