"""The compact teacher: one call for all, files that come back, files that are refused, and its exam."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from labelmine.bundle import bundle_root
from labelmine.data.classes import ClassMap
from labelmine.data.loading import LoadItem
from labelmine.data.sources import find_items
from labelmine.errors import ConfigError, WeightsError
from labelmine.prompts import PromptGenerator, Prompts
from labelmine.teachers import CompactTeacher, Teacher, build_compact_teacher, save_compact_teacher, seen_images
from labelmine.teachers.compact import load_imagenet_encoder
from labelmine.transforms import StudentView
from labelmine.workflows.train_teacher.exam import prompted_dice

SIDE = 64


@pytest.fixture(scope="module")
def teacher() -> CompactTeacher:
    torch.manual_seed(0)
    return CompactTeacher(SIDE).eval().requires_grad_(False)


def asked(index: list[int], boxes: bool = True, points: bool = False) -> Prompts:
    n, where = len(index), torch.tensor(index)
    generator = torch.Generator().manual_seed(n)
    low = torch.rand(n, 2, generator=generator) * 20
    return Prompts(
        image_index=where,
        class_index=torch.zeros_like(where),
        boxes=torch.cat([low, low + 15], 1) if boxes else None,
        points=torch.rand(n, 3, 2, generator=generator) * 40 if points else None,
        point_labels=torch.tensor([[1.0, 0, -1]]).expand(n, 3) if points else None,
    )


def only(prompts: Prompts, n: int) -> Prompts:
    """Object ``n`` alone, as an object of the first image."""
    parts = {k: None if v is None else v[n : n + 1] for k, v in vars(prompts).items()}
    return Prompts(**{**parts, "image_index": torch.tensor([0])})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(40, 56), (90, 70), (64, 64), (20, 128)])
@pytest.mark.parametrize(("boxes", "points"), [(True, False), (False, True), (True, True)])
def test_many_objects_in_many_images_are_answered_as_one_by_one(
    teacher: CompactTeacher, size: tuple[int, int], boxes: bool, points: bool
) -> None:
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0))
    prompts = asked([2, 0, 2, 1], boxes, points)
    embeddings = teacher.encode(images)
    assert embeddings.shape == (3, 256, SIDE // 8, SIDE // 8)
    together = teacher.decode(embeddings, prompts, size)
    assert together.logits.shape == (4, *size)
    assert together.predicted_iou.shape == (4,)
    assert together.predicted_iou.min() >= 0
    assert together.predicted_iou.max() <= 1
    for n, image in enumerate((2, 0, 2, 1)):
        alone = teacher.decode(teacher.encode(images[image : image + 1]), only(prompts, n), size)
        torch.testing.assert_close(together.logits[n], alone.logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.predicted_iou[n], alone.predicted_iou[0], atol=1e-4, rtol=1e-4)


def test_padding_of_the_view_is_where_the_image_ends(teacher: CompactTeacher) -> None:
    prepared = teacher.preprocess(torch.ones(1, 3, 50, 100))
    assert prepared.shape == (1, 3, SIDE, SIDE)
    assert torch.allclose(prepared[..., :32, :], torch.ones(()))
    assert (prepared[..., 32:, :] == 0).all()


def test_mask_prompts_are_refused(teacher: CompactTeacher) -> None:
    prompts = PromptGenerator(["box", "mask"])(torch.full((1, 1, 64, 64), 0.9))
    with pytest.raises(ConfigError, match=r"prompt_kinds: the compact teacher never learnt mask prompts; ask it by"):
        teacher.decode(teacher.encode(torch.rand(1, 3, 64, 64)), prompts, (64, 64))


def test_batch_norm_of_the_image_encoder_stays_in_evaluation_mode() -> None:
    teacher = CompactTeacher(SIDE).train()
    assert isinstance(teacher, Teacher)
    assert not any(m.training for m in teacher.image_encoder.features.modules() if isinstance(m, nn.BatchNorm2d))
    assert teacher.mask_decoder.training


def images_in(folder: Path, count: int = 3) -> list[Path]:
    paths = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.new("RGB", (8, 8), (n, n, n)).save(path)
    return paths


def test_saved_teacher_comes_back_frozen_with_what_it_has_seen(teacher: CompactTeacher, tmp_path: Path) -> None:
    paths = images_in(tmp_path)
    file = save_compact_teacher(
        teacher, tmp_path / "mine.safetensors", paths[:2], {"epochs": 3}, seen_before=["0" * 16]
    )
    loaded = build_compact_teacher(str(file))
    images, prompts = torch.rand(2, 3, 48, 64), asked([0, 1, 1], points=True)
    own = teacher.decode(teacher.encode(images), prompts, (48, 64))
    theirs = loaded.decode(loaded.encode(images), prompts, (48, 64))
    scale = own.logits.std().item()
    assert (own.logits - theirs.logits).abs().max() < 0.05 * scale + 0.01  # half precision on disk
    assert loaded.image_size == SIDE
    assert loaded.name == "mine"
    assert len(loaded.weights_sha256) == 64
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    assert seen_images(loaded, paths) == ["0.png", "1.png"]
    assert "0" * 16 in loaded.trained_on
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["recipe"]) == {"epochs": 3}


def test_teachers_that_recorded_nothing_have_seen_nothing(teacher: CompactTeacher, tmp_path: Path) -> None:
    assert seen_images(teacher, images_in(tmp_path)) == []
    assert seen_images(CompactTeacher(64), [tmp_path / "never read"]) == []


def test_files_of_other_models_are_refused(teacher: CompactTeacher, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other.safetensors holds weights of another model, .*teacher_sam.yaml"):
        build_compact_teacher(str(tmp_path / "other.safetensors"))
    file = save_compact_teacher(teacher, tmp_path / "mine.safetensors")
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    state = load_file(file)
    state.popitem()
    save_file(state, file, metadata=metadata)
    with pytest.raises(WeightsError, match=r"mine.safetensors: the weights do not fit this version's compact teacher"):
        build_compact_teacher(str(file))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"mine.safetensors .*truncated"):
        build_compact_teacher(str(file))
    with pytest.raises(WeightsError, match="compact, compact_no_busi"):
        build_compact_teacher(str(tmp_path / "nowhere.safetensors"))


def test_imagenet_weights_start_the_encoder_and_others_are_named(teacher: CompactTeacher) -> None:
    torch.manual_seed(5)
    state = {f"features.{k}": v.half() for k, v in CompactTeacher(SIDE).image_encoder.features.state_dict().items()}
    fresh = CompactTeacher(SIDE)
    load_imagenet_encoder(fresh, {**state, "classifier.1.weight": torch.zeros(1)})
    own = fresh.image_encoder.features.state_dict()
    assert all(torch.equal(own[k.removeprefix("features.")].half(), v) for k, v in state.items())
    state.pop("features.3.conv.0.0.weight")
    with pytest.raises(
        WeightsError, match=r"(?s)expected torchvision's MobileNetV2 'features.\*'. Got: .*3.conv.0.0.weight"
    ):
        load_imagenet_encoder(fresh, state)


class Gold(Teacher):
    """A teacher that knows the gold: it answers with the gold inside the box."""

    name, weights_sha256, fingerprint = "gold", "", "gold"

    def encode(self, images: Tensor) -> Tensor:
        return images[:, :1]

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> object:
        from labelmine.teachers import TeacherMasks

        logits = (embeddings[prompts.image_index, 0] > 0.5).float() * 2 - 1
        return TeacherMasks(logits, torch.ones(len(prompts)))


def test_exam_gives_the_all_knowing_teacher_full_marks_and_passes_over_empty_gold() -> None:
    gold = torch.zeros(3, 1, 48, 48)
    gold[0, 0, 5:20, 5:20] = gold[0, 0, 30:40, 30:44] = gold[2, 0, 10:40, 8:30] = 1
    samples = [{"image": g.repeat(3, 1, 1), "label": g} for g in gold]
    marks = prompted_dice(Gold(), samples)  # type: ignore[arg-type]
    assert marks["dice"] == {"mean": 1.0, "std": 0.0, "n": 2}
    assert 0.8 < marks["box_dice"]["mean"] < 1
    assert prompted_dice(Gold(), samples, jitter=0)["box_dice"]["mean"] == 1  # type: ignore[arg-type]
    assert prompted_dice(Gold(), samples, seed=1) == prompted_dice(Gold(), samples, seed=1)  # type: ignore[arg-type]


@pytest.mark.shared
@pytest.mark.slow
def test_shipped_weights_pass_their_exam_on_images_never_seen(shared_data: Path) -> None:
    if not (bundle_root() / "models" / "compact.safetensors").is_file():
        pytest.skip("models/compact.safetensors is not there: train it by configs/train_teacher.yaml")
    teacher = build_compact_teacher("compact")
    items = sorted(find_items(shared_data / "kvasir_seg"), key=lambda item: item["id"])[:40]
    assert seen_images(teacher, [item["image"] for item in items]) == []
    load, view = LoadItem(ClassMap(names=("polyp",), values=None)), StudentView(224)
    marks = prompted_dice(teacher, (view(load(item)) for item in items))
    assert marks["dice"]["n"] == 40
    assert marks["dice"]["mean"] >= 0.85
    assert marks["dice"]["mean"] > marks["box_dice"]["mean"] + 0.05
