"""``configs/pretrain_simclr.yaml`` on phantoms and small folders: two iterations, resume, and who is never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from monai.engines import SupervisedTrainer
from safetensors.torch import load_file

import labelmine.data.loading
import labelmine.workflows.pretrain_simclr.batches
from labelmine.data import ClassMap, ImageSet
from labelmine.data.loading import read_image
from labelmine.errors import ConfigError, DataError, WeightsError
from labelmine.networks import Student
from labelmine.training import starting_weights
from labelmine.weights import load_state_dict_safely
from labelmine.workflows.pretrain_simclr import Pretraining
from makers import Killed, knobs_of, metrics_of

PhantomFolder = Callable[..., Path]


@pytest.fixture(scope="module")
def quick_knobs() -> dict[str, Any]:
    return {
        "encoder": "mobilenet_v2", "encoder_weights": None, "image_size": 64, "batch_size": 4, "max_epochs": 2,
        "steps_per_epoch": 2, "device": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(
    tmp_path_factory: pytest.TempPathFactory, run_config: Any, quick_knobs: dict[str, Any]
) -> tuple[Path, dict[str, Any], list[str]]:
    """A run on phantoms: its folder, its knobs, and the images that were loaded to learn from."""
    folder = tmp_path_factory.mktemp("pretrained")
    loaded: list[str] = []

    def spy(item: Any, *args: Any) -> Any:
        loaded.append(item["id"])
        return read_image(item, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labelmine.data.loading, "read_image", spy)
        patch.setattr(labelmine.data.loading, "read_label", lambda *args: pytest.fail("a mask was read"))
        knobs = {**quick_knobs, "output_dir": str(folder)}
        run_config("pretrain_simclr", **knobs)
    return folder, knobs, loaded


def test_files_and_metrics(pretrained: Any) -> None:
    folder = pretrained[0]
    metrics = metrics_of(folder)
    split = json.loads((folder / "split.json").read_text())
    assert metrics["dataset"] == "phantom"
    assert metrics["n_images"] == len(split["train"]) + len(split["unlabeled"])
    assert metrics["epochs"] == 2
    assert set(metrics["seconds"]) == {"data", "pretrain"}
    history = pd.read_csv(folder / "simclr" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["train_loss"].iloc[-1] == pytest.approx(metrics["loss"])
    assert history["accuracy"].iloc[-1] == pytest.approx(metrics["accuracy"])
    assert history["accuracy"].between(0, 1).all()
    assert metrics["chance"] == pytest.approx(1 / 7)
    assert history["learning_rate"].iloc[-1] == 0
    assert (folder / "config.yaml").is_file()
    assert any((folder / "simclr" / "tensorboard").iterdir())


def test_images_of_validation_and_test_are_never_loaded(pretrained: Any) -> None:
    split = json.loads((pretrained[0] / "split.json").read_text())
    assert set(pretrained[2]) == {*split["train"], *split["unlabeled"]}
    assert len(pretrained[2]) == len(set(pretrained[2]))
    assert split["test"]
    assert split["val"]


def test_a_student_trains_from_it(pretrained: Any, tmp_path: Path, run_config: Any, quick: dict[str, Any]) -> None:
    file = str(pretrained[0] / "encoder.safetensors")
    run_config("train", pretrained=file, output_dir=str(tmp_path), **{**quick, "learning_rate": 1e-12})
    first = load_file(file)
    student = Student.load(tmp_path / "model.safetensors")[0].network.encoder.state_dict()
    for name, value in first.items():
        if name.endswith(("weight", "bias")):
            torch.testing.assert_close(student[name], value, rtol=0, atol=1e-9)


def test_a_student_of_another_split_is_refused(
    pretrained: Any, tmp_path: Path, phantom_folder: PhantomFolder, run_config: Any, refused: Any, quick: dict[str, Any]
) -> None:
    root, knobs = phantom_folder(12), {**pretrained[1], "output_dir": str(tmp_path / "pre")}
    run_config("pretrain_simclr", **{**knobs, "dataset_dir": str(root), "max_epochs": 1, "steps_per_epoch": 1})
    file = str(tmp_path / "pre" / "encoder.safetensors")
    start = {**quick, "dataset_dir": str(root), "pretrained": file}
    run_config("train", **start, labeled_fraction=0.3, output_dir=str(tmp_path / "same"))
    with refused(DataError, r"encoder.safetensors was trained on \d of the \d images that .* \(the file's seed is 0\)"):
        run_config("train", **start, seed=1, output_dir=str(tmp_path / "other"))


def test_a_file_of_another_origin_is_refused(pretrained: Any, tmp_path: Path) -> None:
    Student(encoder="mobilenet_v2").save(tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"expected the encoder.safetensors of a pretrain_simclr.yaml run, got model"
    ):
        starting_weights(None, str(tmp_path / "model.safetensors"), None)  # type: ignore[arg-type]
    assert starting_weights("imagenet", None, None) == "imagenet"  # type: ignore[arg-type]


def test_a_killed_run_ends_as_the_unbroken_one(pretrained: Any, tmp_path: Path, run_config: Any) -> None:
    knobs = {**pretrained[1], "output_dir": str(tmp_path)}
    started = SupervisedTrainer._iteration
    calls: list[int] = []

    def killed(self: Any, engine: Any, batch: Any) -> Any:
        calls.append(engine.state.iteration)
        if engine.state.iteration == 4:  # the second step of the second epoch
            raise Killed
        return started(self, engine, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupervisedTrainer, "_iteration", killed)
        with pytest.raises(Killed):
            run_config("pretrain_simclr", **knobs)
    assert calls == [1, 2, 3, 4]
    assert not (tmp_path / "encoder.safetensors").exists()

    run_config("pretrain_simclr", **knobs)
    whole, resumed = (load_file(folder / "encoder.safetensors") for folder in (pretrained[0], tmp_path))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    curves = [
        pd.read_csv(f / "simclr" / "history.csv").drop(columns="seconds").to_dict() for f in (pretrained[0], tmp_path)
    ]
    assert curves[0] == curves[1]


def test_second_start_does_not_train_on(pretrained: Any, run_config: Any) -> None:
    checkpoint = pretrained[0] / "simclr" / "checkpoint.pt"
    before, weights = checkpoint.stat().st_mtime_ns, load_file(pretrained[0] / "encoder.safetensors")
    run_config("pretrain_simclr", **pretrained[1])
    assert checkpoint.stat().st_mtime_ns == before
    again = load_file(pretrained[0] / "encoder.safetensors")
    assert all(torch.equal(again[name], value) for name, value in weights.items())


def test_no_path_of_the_user_goes_into_the_file(pretrained: Any) -> None:
    metadata = load_state_dict_safely(pretrained[0] / "encoder.safetensors")[1]
    assert not any(str(pretrained[0]) in value or "/" in value for value in metadata.values())
    assert json.loads(metadata["recipe"]).items() >= {"dataset": "phantom", "seed": 0, "epochs": 2}.items()


def test_an_epoch_shows_no_image_twice(
    pretrained: Any, tmp_path: Path, phantom_folder: PhantomFolder, run_config: Any
) -> None:
    seen: list[int] = []
    prepare = "labelmine.workflows.pretrain_simclr.batches.PreparePartners.__call__"
    with pytest.MonkeyPatch.context() as patch:
        original = labelmine.workflows.pretrain_simclr.batches.PreparePartners.__call__

        def spy(self: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
            seen.extend(hash(image.numpy().tobytes()) for image in batch["image"])
            return original(self, batch, *args, **kwargs)

        patch.setattr(prepare, spy)
        knobs = {**pretrained[1], "dataset_dir": str(phantom_folder(12)), "output_dir": str(tmp_path / "out")}
        run_config("pretrain_simclr", **{**knobs, "max_epochs": 1, "steps_per_epoch": 100})
    assert len(seen) == len(set(seen)) == 8  # 10 of 12 train, in whole batches of 4


def test_bad_knobs_are_refused(
    pretrained: Any, tmp_path: Path, phantom_folder: PhantomFolder, run_config: Any, refused: Any
) -> None:
    knobs = {**pretrained[1], "dataset_dir": str(phantom_folder(6)), "output_dir": str(tmp_path / "out")}
    with refused(ConfigError, r"batch_size: expected 2 or more, .*; got 1"):
        run_config("pretrain_simclr", **{**knobs, "batch_size": 1})
    with refused(DataError, r"dataset: 4 images to learn from .* fewer than a batch of 8\. .* smaller --batch_size"):
        run_config("pretrain_simclr", **{**knobs, "batch_size": 8, "output_dir": str(tmp_path / "small")})
    with refused(ConfigError, r"temperature: expected a number greater than or equal to 0.02. Got: 0"):
        run_config("pretrain_simclr", **{**knobs, "temperature": 0, "output_dir": str(tmp_path / "cold")})
    with refused(ConfigError, r"'temprature' \(did you mean 'temperature'\?\)"):
        run_config("pretrain_simclr", temprature=0.5)


@pytest.mark.parametrize(("accuracy", "warned"), [(0.2, True), (0.5, False)])  # chance is 1 of 7
def test_nothing_learnt_is_warned_of(
    accuracy: float, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "simclr").mkdir()
    (tmp_path / "simclr" / "history.csv").write_text(f"epoch,train_loss,accuracy\n1,2.5,0.1\n2,2.0,{accuracy}\n")
    untrained = {"batch_size": 4, "encoder": "resnet18", "encoder_weights": None}
    pretraining = Pretraining(knobs_of("pretrain_simclr", output_dir=str(tmp_path), **untrained))
    pretraining.images = ImageSet("set", tmp_path, [], ClassMap(), None, -1, {})
    pretraining.write()
    assert any("learnt next to nothing" in record.message for record in caplog.records) == warned
    metrics = metrics_of(tmp_path)
    assert (metrics["epochs"], metrics["loss"], metrics["accuracy"]) == (2, 2.0, accuracy)


def test_cpu_overlay_runs(pretrained: Any, tmp_path: Path, run_config: Any) -> None:
    small = {"image_size": 64, "batch_size": 4, "max_epochs": 1, "steps_per_epoch": 1}
    run_config("pretrain_simclr", "cpu", **small, output_dir=str(tmp_path))
    assert (tmp_path / "encoder.safetensors").is_file()
