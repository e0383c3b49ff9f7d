"""What a teacher's training needs beyond MONAI's trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import RandFlipd
from torch import Tensor

from labelmine.errors import ConfigError, DataError
from labelmine.losses import PromptableLoss
from labelmine.prompts import PromptSimulator
from labelmine.teachers import CompactTeacher, build_compact_teacher, save_compact_teacher
from labelmine.teachers.decoding import _resize_matrix
from labelmine.transforms import BatchAugment
from labelmine.workflows.train_teacher import TeacherTraining, start_compact_teacher
from labelmine.workflows.train_teacher.exam import exam_samples, prompted_dice
from labelmine.workflows.train_teacher.prompted_forward import PrepareSimulatedPrompts, PromptedForward
from labelmine.workflows.train_teacher.start import parameter_groups
from labelmine.workflows.train_teacher.teacher_sets import balanced_sampler, load_teacher_sets
from makers import knobs_of, metrics_of

SIDE = 64


def batch() -> dict[str, Tensor]:
    label = torch.zeros(3, 1, SIDE, SIDE)
    label[:, :, 10:30, 10:40] = 1
    return {"image": torch.rand(3, 3, SIDE, SIDE), "label": label, "weight": torch.ones(3, 1, SIDE, SIDE)}


def prepare() -> PrepareSimulatedPrompts:
    flip = RandFlipd(keys=("image", "label", "weight"), prob=0.5, spatial_axis=1)
    return PrepareSimulatedPrompts(BatchAugment([flip]), PromptSimulator())


def test_one_step_reaches_every_part_that_answers() -> None:
    network = PromptedForward(CompactTeacher(SIDE)).train()
    images, targets, (prompts,), _ = prepare()(batch(), "cpu")
    PromptableLoss()(network(images, prompts), targets).backward()
    for part in ("image_encoder.features.0", "image_encoder.lateral", "mask_decoder.output_upscaling"):
        parameters = list(network.teacher.get_submodule(part).parameters())
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters if p.ndim > 1), part


def test_a_teacher_that_was_examined_can_be_trained() -> None:
    """Whatever the exam, under inference mode, left behind must serve a step with gradients."""
    network = PromptedForward(CompactTeacher(SIDE)).eval()
    given = batch()
    sample = {"image": given["image"][0], "label": given["label"][0]}
    _resize_matrix.cache_clear()
    prompted_dice(network.teacher, [sample])
    images, targets, (prompts,), _ = prepare()(given, "cpu")
    PromptableLoss()(network.train()(images, prompts), targets).backward()
    assert network.teacher.mask_decoder.iou_token.weight.grad is not None


def test_bfloat16_answers_stay_near_those_of_full_precision() -> None:
    torch.manual_seed(0)
    teacher = CompactTeacher(SIDE).eval()
    images, _, (prompts,), _ = prepare()(batch(), "cpu")
    with torch.no_grad():
        full, half = PromptedForward(teacher)(images, prompts), PromptedForward(teacher, True)(images, prompts)
    assert (full.logits - half.logits.float()).abs().max() < 0.2 * full.logits.abs().max()


def test_batches_are_drawn_by_epoch() -> None:
    first, again, other = prepare(), prepare(), prepare()
    given = batch()
    first(given, "cpu")
    first.set_epoch(3)
    again.set_epoch(3)
    other.set_epoch(4)
    (a, b, c) = (p(given, "cpu") for p in (first, again, other))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    assert a[2][0].of_image(0) == b[2][0].of_image(0)
    assert a[2][0].of_image(0) != c[2][0].of_image(0)


def test_sampler_gives_sets_a_share_by_the_root_of_their_size() -> None:
    torch.manual_seed(0)
    drawn = list(balanced_sampler([100, 400], 6000))
    assert len(drawn) == 6000
    share = sum(i < 100 for i in drawn) / 6000
    assert share == pytest.approx(10 / 30, abs=0.03)
    torch.manual_seed(0)
    assert list(balanced_sampler([100, 400], 6000)) == drawn


def test_sets_are_joined_and_images_without_masks_left_out(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    first, second = phantom_folder(4, labeled=3, name="a"), phantom_folder(2, name="b")
    sets = load_teacher_sets(
        [str(first), str(second), "phantom"], str(tmp_path / "out"), phantom_count=5, phantom_size=32
    )
    assert sets.sizes == [3, 2, 5]
    assert len(sets.items) == 10
    assert all("label" in item for item in sets.items)
    assert (tmp_path / "out" / "phantom").is_dir()


def test_sets_that_cannot_teach_are_refused(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_dirs: name at least one image set with masks"):
        load_teacher_sets([], str(tmp_path))
    folder = phantom_folder(2, labeled=0, name="bare")
    (folder / "masks").rmdir()
    with pytest.raises(DataError, match=r"bare: no image with a mask. A teacher learns from masks alone"):
        load_teacher_sets([str(folder)], str(tmp_path))
    with pytest.raises(DataError, match="nowhere"):
        load_teacher_sets([str(tmp_path / "nowhere")], str(tmp_path))


def test_training_goes_on_from_an_earlier_teacher(tmp_path: Path) -> None:
    file = save_compact_teacher(CompactTeacher(SIDE), tmp_path / "earlier.safetensors", seen_before=["a" * 16])
    teacher = start_compact_teacher(initial_teacher=str(file))
    assert teacher.image_size == SIDE
    assert all(p.requires_grad for p in teacher.parameters())
    assert teacher.trained_on == {"a" * 16}


def test_parameter_groups_hold_every_weight_once() -> None:
    teacher = CompactTeacher(SIDE)
    pretrained, new = (group["params"] for group in parameter_groups(teacher))
    assert {id(p) for p in pretrained} == {id(p) for p in teacher.image_encoder.features.parameters()}
    assert len(pretrained) + len(new) == len(list(teacher.parameters()))


def ended(out: Path, *dataset_dirs: Path | str, **knobs: Any) -> dict[str, Any]:
    """Let a teacher that learnt nothing come to the end of its training, and return what is said of it."""
    given = {"dataset_dirs": [str(folder) for folder in dataset_dirs], "output_dir": str(out), "image_size": SIDE}
    torch.manual_seed(0)
    made = knobs_of("train_teacher", **given, phantom_count=2, device="cpu", **knobs)
    TeacherTraining(made, CompactTeacher(SIDE), BatchAugment([])).write()
    return metrics_of(out)


def test_end_writes_the_teacher_its_digests_and_its_marks(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    out, sets = tmp_path / "out", (phantom_folder(3), "phantom")
    exam = phantom_folder(2, labeled=1, name="exam")
    metrics = ended(out, *sets, exam_dir=str(exam), max_epochs=7, steps_per_epoch=3, learning_rate=0.125, seed=4)
    assert metrics["n_images"] == 3 + 2
    assert metrics["exam"]["dice"]["n"] == 1
    assert set(metrics["seconds"]) == {"data"}
    recipe = {"seed": 4, "batch_size": 12, "image_size": SIDE, "learning_rate": 0.125, "optimizer_steps": 21}
    assert metrics["recipe"] == {**recipe, "exam_jitter": 0.12}
    # Made images name nothing that could be examined.
    digests = {hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (sets[0] / "images").iterdir()}
    assert build_compact_teacher(str(out / "teacher.safetensors")).trained_on == digests
    assert ended(tmp_path / "no_exam", *sets)["exam"] is None


def test_exam_reads_labelled_images_one_by_one(phantom_folder: Callable[..., Path]) -> None:
    assert exam_samples(None, lambda item: {}) is None
    samples = exam_samples(str(phantom_folder(3, labeled=2)), lambda item: {"id": item["id"]})
    assert samples is not None
    assert len(list(samples)) == 2


def test_the_exam_jitters_as_asked(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = phantom_folder(4)
    exact, jittered = (
        ended(tmp_path / str(jitter), folder, exam_dir=str(folder), exam_jitter=jitter)["exam"]["box_dice"]["mean"]
        for jitter in (0.0, 0.3)
    )
    assert exact > jittered


def test_the_rate_follows_one_cycle_over_all_steps(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    given = {"dataset_dirs": [str(phantom_folder(4))], "output_dir": str(tmp_path / "out"), "image_size": SIDE}
    quick = {"max_epochs": 2, "steps_per_epoch": 4, "batch_size": 4, "bfloat16": False, "device": "cpu"}
    knobs = knobs_of("train_teacher", **given, **quick, learning_rate=0.004, encoder_learning_rate=0.001)
    trainer = TeacherTraining(knobs, CompactTeacher(SIDE), BatchAugment([])).trainer
    rates: list[tuple[float, ...]] = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: rates.append(tuple(group["lr"] for group in trainer.optimizer.param_groups))
    )
    trainer.run()
    encoder, others = zip(*rates, strict=True)
    assert len(rates) == 8
    assert (max(encoder), max(others)) == pytest.approx((0.001, 0.004), rel=0.1)
    assert others == pytest.approx([4 * rate for rate in encoder])
    assert 0 < others.index(max(others)) < 7
    assert others[-1] < 0.1 * max(others)
    assert (tmp_path / "out" / "checkpoint.pt").is_file()
