"""Candidates on disk, their admission, and the sets that they make with the gold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from labelmine.data import ClassMap, ImageSet, Item, prepare_image_set
from labelmine.errors import ConfigError, DataError
from labelmine.labelers.prediction import predict
from labelmine.synthesis import Generator
from labelmine.teachers import CompactTeacher
from labelmine.training import TrainingTask, student_plan
from labelmine.transforms import flips_and_turns
from labelmine.workflows.synthesize import FeatureNetwork, Synthesis, SynthesizeKnobs
from labelmine.workflows.synthesize.admission import AdmissionStage, _drawn, _lesion
from labelmine.workflows.synthesize.candidates import CandidateStage
from labelmine.workflows.synthesize.generator_training import gold_digests
from labelmine.workflows.synthesize.made_items import admitted_items, made_items
from makers import knobs_of

SIDE = 16
FEATURES = FeatureNetwork("pixels", lambda images: F.adaptive_avg_pool2d(images, 4).flatten(1))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """16 training images, 8 to validate, 16 to test."""
    return prepare_image_set(None, str(tmp_path_factory.mktemp("set")), phantom_size=32, phantom_count=160)


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> str:
    """An untrained generator whose file says that it knows this gold."""
    torch.manual_seed(0)
    generator = Generator(images.classes.names, SIDE, channels=(32, 32), attention=(False, True), res_blocks=1)
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("generator") / "generator.safetensors"
    generator.save(path, trained_on=gold_digests(images))
    return str(path)


def task_of(folder: Path, images: ImageSet, **knobs: Any) -> TrainingTask[SynthesizeKnobs]:
    small = {"generator_size": SIDE, "image_size": 32, "bfloat16": False, "device": "cpu"}
    task = TrainingTask[SynthesizeKnobs](knobs_of("synthesize", output_dir=str(folder), **{**small, **knobs}))
    task.images = images
    return task


def stage(folder: Path, file: str, images: ImageSet, count: int, image_size: int = SIDE) -> CandidateStage:
    quick = {"sampling_steps": 1, "generator_batch_size": 4, "opening": 0}
    return CandidateStage(task_of(folder, images, count=count, generator_size=image_size, **quick), Path(file), {})


def admission(folder: Path, images: ImageSet) -> AdmissionStage:
    return AdmissionStage(task_of(folder, images), None, None, FEATURES)


def made_folder(folder: Path, pictures: list[np.ndarray]) -> None:
    """Write candidates that were made without masks."""
    (folder / "candidates" / "images").mkdir(parents=True)
    names = [f"synthetic_{number:05d}" for number in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / "candidates" / "images" / f"{name}.png")
    pd.DataFrame({"id": names, "source": "x"}).to_csv(folder / "candidates" / "candidates.csv", index=False)


def test_candidates_come_with_their_sources(tmp_path: Path, generator_file: str, images: ImageSet) -> None:
    stage(tmp_path, generator_file, images, 5)()
    table = pd.read_csv(tmp_path / "candidates" / "candidates.csv")
    assert table["id"].tolist() == [f"synthetic_{n:05d}" for n in range(5)]
    assert table["source"].tolist() == [item["id"] for item in images.train[:5]]
    for name in table["id"]:
        for part in ("images", "masks"):
            with Image.open(tmp_path / "candidates" / part / f"{name}.png") as image:
                assert image.size == (SIDE, SIDE)


def test_finished_candidates_are_left_alone(tmp_path: Path, generator_file: str, images: ImageSet) -> None:
    stage(tmp_path, generator_file, images, 4)()
    path = tmp_path / "candidates" / "images" / "synthetic_00000.png"
    before = path.stat()
    stage(tmp_path, generator_file, images, 4)()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_damaged_candidate_is_made_again(tmp_path: Path, generator_file: str, images: ImageSet) -> None:
    stage(tmp_path, generator_file, images, 2)()
    path = tmp_path / "candidates" / "images" / "synthetic_00000.png"
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    stage(tmp_path, generator_file, images, 2)()
    assert path.read_bytes() == whole


def test_a_higher_count_lists_each_candidate_once(tmp_path: Path, generator_file: str, images: ImageSet) -> None:
    for count in (3, 5):
        stage(tmp_path, generator_file, images, count)()
    table = pd.read_csv(tmp_path / "candidates" / "candidates.csv")
    assert sorted(table["id"]) == [f"synthetic_{n:05d}" for n in range(5)]


def test_other_generators_are_refused(tmp_path: Path, generator_file: str, images: ImageSet) -> None:
    with pytest.raises(ConfigError, match=r"generator.safetensors makes images of 16 px, the run asks for 32. Give "):
        stage(tmp_path, generator_file, images, 1, image_size=32)()
    generator, _ = Generator.load(generator_file)
    generator.save(tmp_path / "foreign.safetensors", trained_on=gold_digests(images)[1:])
    with pytest.raises(DataError, match=r"foreign.safetensors was trained on other gold .* \(1 images differ\)"):
        stage(tmp_path, str(tmp_path / "foreign.safetensors"), images, 1)()
    assert not (tmp_path / "candidates").exists()


def test_a_copy_of_gold_is_rejected_and_a_new_image_joins(tmp_path: Path, images: ImageSet) -> None:
    with Image.open(images.train[3]["image"]) as gold:
        copy = np.asarray(gold.convert("RGB"))
    new = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    new[:, ::2] = (0, 255, 0)
    made_folder(tmp_path, [copy, new])
    admission(tmp_path, images)()
    table = pd.read_csv(tmp_path / "candidates.csv", keep_default_na=False)
    assert table["accepted"].tolist() == [0, 1]
    assert table["reason"].tolist() == ["a copy of a training image", ""]
    assert float(table["distance"][0]) == pytest.approx(0, abs=1e-5)
    assert "agreement" not in table
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["synthetic_00001.png"]
    source = tmp_path / "candidates" / "images" / "synthetic_00001.png"
    assert (tmp_path / "images" / "synthetic_00001.png").read_bytes() == source.read_bytes()
    assert not (tmp_path / "masks").exists()
    (item,) = admitted_items(tmp_path)
    assert (item["split"], item.get("label"), item["made"]) == ("unlabeled", None, True)


def test_the_listing_finds_every_file_from_its_own_folder(tmp_path: Path, images: ImageSet) -> None:
    made_folder(tmp_path, [np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)])
    admission(tmp_path, images)()
    listed = pd.read_csv(tmp_path / "dataset.csv", keep_default_na=False)
    assert listed["split"].value_counts().to_dict() == {"train": 16, "val": 12, "test": 40, "unlabeled": 1}
    assert not any(Path(path).is_absolute() for key in ("image", "label") for path in listed[key])
    for part in ("train", "val", "test"):
        rows = listed[listed["split"] == part]
        for key in ("image", "label"):
            found = {str((tmp_path / path).resolve()) for path in rows[key]}
            assert found == {str(Path(item[key]).resolve()) for item in getattr(images, part)}
    (made,) = listed[listed["split"] == "unlabeled"].to_dict("records")
    assert (made["id"], made["image"], made["label"]) == ("synthetic_00000", "images/synthetic_00000.png", "")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be trained."""
    found: list[dict[str, Any]] = []

    def train(task: Any, stage: str, plan: Any, network: Any, items: list[Item], **how: Any) -> None:
        found.append({"stage": stage, "plan": plan, "items": items, **how})

    monkeypatch.setattr(TrainingTask, "train", train)
    monkeypatch.setattr(TrainingTask, "new_student", lambda task: None)
    return found


def synthesis(folder: Path, images: ImageSet, **knobs: Any) -> Synthesis:
    task = task_of(folder, images, **knobs)
    return Synthesis(task, CompactTeacher(64), FEATURES, student_plan(task.knobs, task.exclusive, flips_and_turns()))


def list_candidates(folder: Path, **columns: list[Any]) -> None:
    pd.DataFrame({"id": ["001", "002", "003"], **columns}).to_csv(folder / "candidates.csv", index=False)


def test_made_pairs_train_beside_the_gold(tmp_path: Path, images: ImageSet, trained: list[dict[str, Any]]) -> None:
    list_candidates(tmp_path, accepted=[1, 0, 1], agreement=[0.9, 0.1, 0.8])
    made = synthesis(tmp_path, images, gold_share=0.25)
    made.train_supervised()
    made.train_mixed()
    alone, beside = trained
    assert (alone["stage"], alone["items"], beside["stage"]) == ("supervised", images.train, "mixed")
    assert (beside["gold_share"], "gold_share" in alone) == (0.25, False)
    assert alone["plan"] is beside["plan"]
    mixed = beside["items"]
    assert mixed[:16] == images.train
    assert [(item["id"], item["group"], item["split"]) for item in mixed[16:]] == [
        ("001", "001", "train"),
        ("003", "003", "train"),
    ]
    assert mixed[16]["label"] == str(tmp_path / "masks" / "001.png")
    assert all(item["made"] for item in mixed[16:])
    assert "label" not in made_items(tmp_path, ["001"], masks=False)[0]


def test_without_admitted_pairs_no_second_student_is_trained(
    tmp_path: Path, images: ImageSet, trained: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    list_candidates(tmp_path, accepted=[0, 0, 0], agreement=[0.2, 0.1, 0.3])
    synthesis(tmp_path, images).train_mixed()
    assert trained == []
    assert "no made image was admitted, so there is nothing to train on: look at report/rejected.png" in caplog.text


def test_images_without_masks_train_no_student(tmp_path: Path, images: ImageSet, trained: list[dict[str, Any]]) -> None:
    list_candidates(tmp_path, accepted=[1, 1, 0])
    made = synthesis(tmp_path, images, content="images")
    made.train_supervised()
    made.train_mixed()
    assert trained == []
    assert made.teacher is None


def test_knobs_that_nothing_is_sampled_with_stop_before_the_first_training(tmp_path: Path, images: ImageSet) -> None:
    with pytest.raises(ConfigError, match=r"sampling_steps: expected a whole number in \[1, 1000\]\. Got: 2000"):
        synthesis(tmp_path, images, sampling_steps=2000)


def test_several_ranks_are_refused(tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
    with pytest.raises(ConfigError, match=r"one device: leave out torchrun and multi_gpu.yaml"):
        synthesis(tmp_path, images)


@pytest.mark.parametrize(("top", "left"), [(8, 10), (0, 0), (14, 17)])
def test_the_lesion_is_cropped_with_a_margin_and_enlarged(top: int, left: int) -> None:
    image = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    label = -torch.ones(2, 20, 20)
    label[1, top : top + 6, left : left + 3] = 1
    # A tenth of 20 pixels to each side, as far as there is an image.
    part = image[:, max(0, top - 2) : top + 8, max(0, left - 2) : left + 5]
    expected = F.interpolate(part[None], size=(20, 20), mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(_lesion({"image": image, "label": label}), expected)


def test_without_a_lesion_the_whole_view_is_compared() -> None:
    image = torch.rand(3, 20, 20)
    assert torch.equal(_lesion({"image": image, "label": -torch.ones(1, 20, 20)}), image)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("exclusive", [False, True])
def test_prompts_of_the_teacher_are_drawn_from_the_made_masks(count: int, exclusive: bool) -> None:
    masks = torch.zeros(count, 2, 8, 8)
    for row in range(count):
        masks[row, row % 2, row : row + 4, 2:5] = 1
    view: dict[str, Tensor] = {"image": torch.rand(count, 3, 8, 8), "weight": torch.ones(count, 1, 8, 8)}
    seen = predict(_drawn(masks, exclusive), view, exclusive)
    torch.testing.assert_close(seen, masks, atol=1e-4, rtol=0)


def test_volumes_of_one_name_in_two_folders_stay_two(tmp_path: Path) -> None:
    items = [
        Item(id=f"{folder}/scan.v2_frame0000", image=str(tmp_path / folder / "scan.v2.nii.gz"), group=folder, frame=0)
        for folder in ("a", "b")
    ]
    train = [Item({**item, "split": "train"}) for item in items]
    images = ImageSet("volumes", tmp_path, train, ClassMap(), None, -1, {})
    admission(tmp_path / "run", images)._list([])
    assert pd.read_csv(tmp_path / "run" / "dataset.csv")["id"].tolist() == ["a/scan.v2", "b/scan.v2"]
