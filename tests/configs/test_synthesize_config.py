from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from labelmine.errors import ConfigError, DataError
from labelmine.prediction import evaluate, selection
from labelmine.run.words import with_values
from labelmine.synthesis import Generator
from labelmine.workflows.synthesize.candidates import recipe_of
from makers import knobs_of

from .conftest import Run


@pytest.fixture(scope="session")
def tiny(small: dict[str, Any], teacher_file: str) -> dict[str, Any]:
    """Knobs that make generator and students last seconds."""
    return {
        **small, "generator_size": 16, "channels": [32, 32], "attention": [False, True], "generator_epochs": 2,
        "generator_steps": 2, "generator_batch_size": 4, "grid_every": 1, "count": 6, "sampling_steps": 2,
        "min_agreement": 0.0, "copy_quantile": 0.0, "opening": 0, "max_epochs": 1,
        "teacher_weights": teacher_file, "feature_network": teacher_file,
    }  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Any], run_config: Any) -> Iterator[Run]:
    """One run with new lesions that many tests look at; none may write into it."""
    folder = tmp_path_factory.mktemp("made")
    knobs = {**tiny, "inpaint": True, "output_dir": str(folder)}
    run_config("synthesize", **knobs)
    yield Run(folder, knobs)
    shutil.rmtree(folder)  # 300 MB


def test_files_and_metrics(made: Run) -> None:
    names = {path.name for path in made.folder.iterdir()}
    assert names >= {"candidates.csv", "dataset.csv", "images", "masks", "model.safetensors", "metrics.json", "report"}
    metrics = made.metrics
    counts = metrics["candidates"]
    assert counts["accepted"] + counts["rejected"] == 6
    assert {row["name"] for row in metrics["likeness"]} >= {"gold, training", "candidates"}
    assert "not Inception" in metrics["feature_network"]
    assert metrics["kept"] in ("supervised", "mixed")
    assert (made.folder / "generator" / "samples" / "epoch_0002.png").is_file()
    page = (made.folder / "report" / "index.html").read_text()
    assert "made images were admitted" in page
    assert "Yellow: outline of the mask" in page
    assert "new lesions in real images" in page


def test_admitted_pairs_are_an_image_set(made: Run) -> None:
    admitted = pd.read_csv(made.folder / "candidates.csv").query("accepted == 1")["id"].tolist()
    assert admitted, "nothing was admitted though nothing was asked for"
    for name in admitted:
        image, mask = (Image.open(made.folder / part / f"{name}.png") for part in ("images", "masks"))
        assert image.size == mask.size == (16, 16)
    listed = pd.read_csv(made.folder / "dataset.csv")
    assert set(listed.loc[listed["id"].isin(admitted), "split"]) == {"train"}
    assert not listed["image"].str.startswith("/").any()


def test_made_pairs_are_of_training_gold_alone(made: Run) -> None:
    listed = pd.read_csv(made.folder / "dataset.csv")
    gold = set(listed.loc[(listed["split"] == "train") & ~listed["id"].str.startswith("synthetic"), "id"])
    assert set(pd.read_csv(made.folder / "candidates.csv")["source"]) <= gold
    _, told = Generator.load(made.folder / "generator" / "generator.safetensors")
    assert len(told["trained_on"]) == len(gold) == made.metrics["n_gold"]


def test_a_killed_run_goes_on_with_the_same_candidates(made: Run, tmp_path: Path, run_config: Any) -> None:
    folder = tmp_path / "again"
    shutil.copytree(made.folder, folder)
    table = pd.read_csv(folder / "candidates" / "candidates.csv")
    table[:4].to_csv(folder / "candidates" / "candidates.csv", index=False)  # the second batch of four was not reached
    (folder / "candidates" / "images" / "synthetic_00004.png").unlink()
    run_config("synthesize", **{**made.knobs, "output_dir": str(folder)})
    names = [path.relative_to(folder) for path in (folder / "candidates").rglob("*.png")]
    assert len(names) == 12
    for name in names:
        assert (folder / name).read_bytes() == (made.folder / name).read_bytes()


@pytest.mark.parametrize("knobs", [{"content": "images_on_masks", "clusters": 2}, {"style": 0.5}])
def test_other_ways_to_make_pairs(tmp_path: Path, tiny: dict[str, Any], run_config: Any, knobs: dict[str, Any]) -> None:
    knobs = {**tiny, **knobs, "generator_epochs": 1, "match_colours": True, "prediction": "v_prediction"}
    run_config("synthesize", **knobs, output_dir=str(tmp_path))
    assert (tmp_path / "masks" / "synthetic_00000.png").is_file()
    assert "new lesions in real images" not in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("given", "inpaint", "eta"),
    [
        ({}, False, 1.5),
        ({"inpaint": "false"}, False, 1.5),
        ({"inpaint": "true"}, True, 3.0),
        ({"inpaint": True}, True, 3.0),
        ({"inpaint": True, "eta": 0}, True, 0),
    ],
)
def test_new_lesions_draw_more_noise_anew(given: dict[str, Any], inpaint: bool, eta: float) -> None:
    recipe = recipe_of(knobs_of("synthesize", device="cpu", **with_values(given)))
    assert (recipe.inpaint, recipe.eta) == (inpaint, eta)


def test_images_without_masks_go_to_a_labeler(
    tmp_path: Path, tiny: dict[str, Any], quick: dict[str, Any], run_config: Any
) -> None:
    run_config("synthesize", **{**tiny, "content": "images"}, output_dir=str(tmp_path / "made"))
    assert not (tmp_path / "made" / "masks").exists()
    assert not (tmp_path / "made" / "supervised" / "best.safetensors").exists()
    listing = tmp_path / "made" / "dataset.csv"
    run_config("mine", **quick, gate=False, dataset_dir=str(listing), teacher_weights=tiny["teacher_weights"],
               output_dir=str(tmp_path / "mined"))  # fmt: skip
    run = Run(tmp_path / "mined", {})
    assert run.metrics["n_unlabeled"] == 6
    assert run.metrics["pseudo_labels"]["accepted"] + run.metrics["pseudo_labels"]["rejected"] == 6


def test_a_generator_of_other_gold_is_refused(made: Run, tmp_path: Path, run_config: Any, refused: Any) -> None:
    earlier = str(made.folder / "generator" / "generator.safetensors")
    knobs = {**made.knobs, "output_dir": str(tmp_path), "generator_file": earlier}
    with refused(DataError, r"generator.safetensors was trained on other gold .* Give the --split_file"):
        run_config("synthesize", **{**knobs, "seed": 1})


def test_a_generator_of_another_size_is_refused(made: Run, tmp_path: Path, run_config: Any, refused: Any) -> None:
    earlier = str(made.folder / "generator" / "generator.safetensors")
    with refused(ConfigError, r"makes images of 16 px, the run asks for 32. Give --generator_size 16"):
        run_config("synthesize", **{**made.knobs, "output_dir": str(tmp_path), "generator_file": earlier,
                                    "generator_size": 32})  # fmt: skip


def test_an_earlier_generator_serves(made: Run, tmp_path: Path, run_config: Any) -> None:
    earlier = str(made.folder / "generator" / "generator.safetensors")
    knobs = {**made.knobs, "generator_file": earlier, "split_file": str(made.folder / "split.json")}
    run_config("synthesize", **knobs | {"output_dir": str(tmp_path)})
    assert not (tmp_path / "generator" / "generator.safetensors").exists()
    name = Path("candidates") / "images" / "synthetic_00000.png"
    assert (tmp_path / name).read_bytes() == (made.folder / name).read_bytes()


@pytest.mark.parametrize(("gain", "kept"), [(0.1, "mixed"), (0.0, "supervised")])
def test_gold_validation_chooses_the_student(
    made: Run, tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch, gain: float, kept: str
) -> None:
    def evaluated(predictor: Any, items: Any, images: Any, name: str) -> pd.DataFrame:
        return evaluate(predictor, items, images, name).assign(dice=0.5 + gain * (name == "validate mixed"))

    monkeypatch.setattr(selection, "evaluate", evaluated)
    folder = tmp_path / "again"
    shutil.copytree(made.folder, folder)
    run_config("synthesize", **{**made.knobs, "output_dir": str(folder)})
    assert Run(folder, {}).metrics["kept"] == kept
    assert (folder / "model.safetensors").read_bytes() == (folder / kept / "best.safetensors").read_bytes()


def test_too_few_gold_images(tmp_path: Path, tiny: dict[str, Any], run_config: Any, refused: Any) -> None:
    with refused(DataError, r"phantom: 5 gold images to train on, expected 16 or more: of fewer a generator"):
        run_config("synthesize", **tiny, labeled_fraction=0.3, output_dir=str(tmp_path))


def test_nothing_admitted_trains_no_second_student(
    tmp_path: Path, tiny: dict[str, Any], run_config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run_config("synthesize", **{**tiny, "min_agreement": 1.0, "generator_epochs": 1}, output_dir=str(tmp_path))
    metrics = Run(tmp_path, {}).metrics
    assert (metrics["candidates"]["accepted"], metrics["kept"]) == (0, "supervised")
    assert "mixed" not in metrics
    assert "no made image was admitted, so there is nothing to train on" in caplog.text
    assert "The student without them is kept." in (tmp_path / "report" / "index.html").read_text()


def test_a_knob_that_makes_no_image_stops_the_run_before_the_first_training(
    tmp_path: Path, tiny: dict[str, Any], run_config: Any, refused: Any
) -> None:
    with refused(ConfigError, r"eta: expected a number greater than or equal to 0\. Got: -1"):
        run_config("synthesize", **{**tiny, "eta": -1}, output_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())
