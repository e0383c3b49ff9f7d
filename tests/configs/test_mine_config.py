from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelmine.data import LabelStore
from labelmine.errors import ConfigError, WeightsError
from labelmine.handlers import PseudoLabeling
from labelmine.networks import Student
from labelmine.run.files import CHECKPOINT_FILE
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.weights import sha256_of
from labelmine.workflows.mine import teacher_fit
from makers import Killed, metrics_of


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    """Leave out times and what the embedding cache held: both are of one start, not of the run."""
    return {k: v for k, v in metrics.items() if not k.startswith("seconds") and k != "embedding_cache"}


def labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "labels" / "masks").iterdir()}


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "labels" / "manifest.jsonl").read_text().splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda record: str(record["id"]))


def test_files(mined: Any) -> None:
    names = {path.name for path in mined.folder.iterdir()}
    assert names >= {
        "config.yaml", "labels", "metrics.json", "mined", "model.safetensors", "quarantine.csv", "report",
        "split.json", "supervised", "test_mined.csv", "test_supervised.csv",
    }  # fmt: skip
    assert (mined.folder / "report" / "index.html").read_text().startswith("<!")
    assert not list(mined.folder.rglob("*.part"))


def test_metrics(mined: Any) -> None:
    metrics = mined.metrics
    assert (metrics["dataset"], metrics["seed"]) == ("phantom", 0)
    splits = pd.read_csv(mined.folder / "phantom" / "dataset.csv")["split"].value_counts()
    keys = {"train": "n_gold", "val": "n_gold_val", "test": "n_gold_test", "unlabeled": "n_unlabeled"}
    mined_besides = splits["train"] // 2  # the demonstration's labeled_fraction
    expected = splits.to_dict() | {
        "train": splits["train"] - mined_besides,
        "unlabeled": splits["unlabeled"] + mined_besides,
    }
    assert {split: metrics[key] for split, key in keys.items()} == expected
    for name in ("supervised", "mined"):
        for measure in ("dice", "iou"):
            assert 0 <= metrics[name][measure]["mean"] <= 1
            assert metrics[name][measure]["n"] == metrics["n_gold_test"]
    assert set(metrics["seconds"]) >= {"data", "supervised", "label", "mined"}
    pseudo = metrics["pseudo_labels"]
    assert pseudo["accepted"] + pseudo["rejected"] == metrics["n_unlabeled"]
    assert pseudo["accepted"] > 0, "a run without a mined label would test nothing"
    assert pseudo["dice"]["n"] == pseudo["student_dice"]["n"] == pseudo["accepted"]


def test_labels(mined: Any) -> None:
    table = pd.read_csv(mined.folder / "labels" / "manifest.csv", keep_default_na=False)
    assert len(table) == mined.metrics["n_unlabeled"] == len(labels(mined.folder))
    assert set(table) >= {"id", "image", "score", "accepted", "reason", "prompts", "teacher", "teacher_sha256"}
    assert table["teacher"].eq("random").all()
    assert table["teacher_sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert not table["image"].str.startswith("/").any(), "no folder of this machine may be written down"


def test_the_supervised_student_is_kept_only_if_it_is_better_on_validation(mined: Any) -> None:
    dice = mined.metrics["validation_dice"]
    kept = mined.metrics["kept"]
    assert kept == "mined" or dice["supervised"] > dice["mined"]  # how much better: test_selection.py
    kept_file = mined.folder / kept / "best.safetensors"
    assert (mined.folder / "model.safetensors").read_bytes() == kept_file.read_bytes()
    assert Student.load(mined.folder / "model.safetensors")[1]["image_size"] == 64


def test_second_start_does_nothing_new(mined: Any, monkeypatch: pytest.MonkeyPatch, run_config: Any) -> None:
    def forbidden(*_: Any) -> None:
        raise AssertionError("labelled again")

    kept = ["supervised/checkpoint.pt", "mined/checkpoint.pt", "labels/manifest.jsonl", "split.json", "config.yaml"]
    before = {name: (mined.folder / name).stat().st_mtime_ns for name in kept}
    metrics = without_times(mined.metrics)
    monkeypatch.setattr(LabelStore, "write", forbidden)

    run_config("mine", **mined.knobs)

    assert {name: (mined.folder / name).stat().st_mtime_ns for name in kept} == before
    assert without_times(mined.metrics) == metrics


def test_killed_twice_it_ends_the_same(
    mined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_config: Any
) -> None:
    knobs = {**mined.knobs, "output_dir": str(tmp_path)}
    for owner, name, call in ((LabelStore, "write", 11), (PseudoLabeling, "fill", 3)):  # mid-labelling, mid-mined
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killing(getattr(owner, name), call))
            with pytest.raises(Killed):
                run_config("mine", **knobs)
    assert len(records(tmp_path)) == mined.metrics["n_unlabeled"]

    run_config("mine", **knobs)

    assert labels(tmp_path) == labels(mined.folder)
    assert records(tmp_path) == records(mined.folder)
    assert without_times(metrics_of(tmp_path)) == without_times(mined.metrics)


@pytest.mark.slow
@pytest.mark.parametrize("knobs", [{}, {"relabel_every": 2, "ema_decay": 0.9, "warm_up": 1}])
def test_a_continuous_run_killed_twice_ends_the_same(
    knobs: dict[str, Any], mined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_config: Any
) -> None:
    # Five steps of four images each over 16 unlabelled ones: some are visited again within their epoch.
    knobs = {**mined.knobs, "schedule": "continuous", "max_epochs": 3, "steps_per_epoch": 5, **knobs}
    unbroken, killed = ({**knobs, "output_dir": str(tmp_path / name)} for name in ("unbroken", "killed"))
    run_config("mine", **unbroken)
    for checkpoint in (tmp_path / "unbroken").rglob(CHECKPOINT_FILE):
        checkpoint.unlink()  # 220 MB
    for owner, name, call in ((PseudoLabeling, "fill", 13), (LabelStore, "write", 5)):  # in epoch 3; after training
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killing(getattr(owner, name), call))
            with pytest.raises(Killed):
                run_config("mine", **killed)
    run_config("mine", **killed)

    assert curve(tmp_path / "killed") == curve(tmp_path / "unbroken")
    quality = pd.read_csv(tmp_path / "killed" / "mined" / "label_history.csv")
    pd.testing.assert_frame_equal(quality, pd.read_csv(tmp_path / "unbroken" / "mined" / "label_history.csv"))
    assert quality["labelled"].iloc[-1] > 0, "a run without a label during training would test nothing"
    assert labels(tmp_path / "killed") == labels(tmp_path / "unbroken")
    assert without_times(metrics_of(tmp_path / "killed")) == without_times(metrics_of(tmp_path / "unbroken"))


def curve(folder: Path) -> list[dict[str, float]]:
    return pd.read_csv(folder / "mined" / "history.csv").drop(columns="seconds").to_dict("records")


def killing(function: Any, call: int) -> Any:
    """Wrap a method so that its n-th call is the kill."""
    calls = iter(range(1, call + 1))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise Killed
        return function(*args, **kwargs)

    return wrapped


def test_a_set_with_gold_alone_is_trained_on_and_said_to_be_so(
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    teacher_file: str,
    run_config: Any,
    small: dict[str, Any],
) -> None:
    knobs = {**small, "max_epochs": 1, "teacher_weights": teacher_file, "output_dir": str(tmp_path / "out")}
    run_config("mine", dataset_dir=str(phantom_folder(10)), **knobs)
    metrics = metrics_of(tmp_path / "out")
    assert (metrics["n_unlabeled"], metrics["pseudo_labels"]["accepted"]) == (0, 0)
    assert metrics["warnings"][0].startswith("All images have gold, so nothing was mined")


def test_the_gate_asks_about_training_gold_by_students_of_folds(
    tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any, small: dict[str, Any], teacher_file: str
) -> None:
    knobs = {**small, "max_epochs": 1, "teacher_weights": teacher_file, "output_dir": str(tmp_path / "out")}
    run_config("mine", dataset_dir=str(phantom_folder(12, labeled=10)), folds=2, **knobs)
    asked = pd.read_csv(tmp_path / "out" / "gate.csv")["id"].tolist()
    split = json.loads((tmp_path / "out" / "split.json").read_text())
    assert sorted(asked) == sorted(split["train"] + split["val"])
    assert {path.name for path in (tmp_path / "out").glob("fold_*")} == {"fold_0", "fold_1"}


def test_a_fitted_teacher_labels_and_its_labels_are_made_again(
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    run_config: Any,
    small: dict[str, Any],
    teacher_file: str,
    monkeypatch: pytest.MonkeyPatch,
    refused: Any,
) -> None:
    monkeypatch.setattr(teacher_fit, "MIN_GAIN", -1.0)  # whatever a teacher of random weights has learnt in two steps
    data, out = str(phantom_folder(16, labeled=10)), tmp_path / "out"
    knobs = {"dataset_dir": data, "teacher_weights": teacher_file}
    run_config("mine", output_dir=str(out), gate=False, fit_steps=2, **{**small, "max_epochs": 1}, **knobs)
    fit = metrics_of(out)["fit"]
    assert (fit["kept"], fit["n_gold"], fit["steps"]) == (True, 8, 2)
    assert fit["n"] == 1  # that validates
    names = {path.name for path in (out / "fitted_teacher").iterdir()}
    assert names == {"decoder.safetensors", "fitted.json"}
    sha256 = {record["decoder_sha256"] for record in records(out)}
    assert sha256 == {sha256_of(out / "fitted_teacher" / "decoder.safetensors")}

    run_config("replay", run_dir=str(out), output_dir=str(tmp_path / "again"), **knobs)
    replayed = metrics_of(tmp_path / "again")
    assert (replayed["equal"], replayed["different"]) == (6, 0)

    more = {**knobs, "model_dir": str(out), "device": "cpu"}
    run_config("label", output_dir=str(tmp_path / "more"), **more)  # who takes its student asks its teacher
    assert {record["decoder_sha256"] for record in records(tmp_path / "more")} == sha256
    (out / "fitted_teacher" / "fitted.json").unlink()
    with refused(WeightsError, "expected the decoder that labelled it"):
        run_config("replay", run_dir=str(out), output_dir=str(tmp_path / "other"), **knobs)


def test_a_teacher_that_saw_the_images_is_named(
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    mined: Any,
    run_config: Any,
    small: dict[str, Any],
) -> None:
    root = phantom_folder(10)
    seen = [str(root / "images" / "case_03.png")]
    teacher = save_compact_teacher(CompactTeacher(64), tmp_path / "knows.safetensors", seen)
    knobs = {**small, "max_epochs": 1, "teacher_weights": str(teacher), "output_dir": str(tmp_path / "out")}
    run_config("mine", dataset_dir=str(root), labeled_fraction=0.5, **knobs)
    (warning,) = metrics_of(tmp_path / "out")["warnings"]
    assert "'knows' was trained on 1 of these images (for example case_03.png)" in warning
    assert mined.metrics["warnings"] == []


def test_changed_settings_are_refused(mined: Any, run_config: Any, refused: Any) -> None:
    before = (mined.folder / "config.yaml").read_bytes()
    with refused(ConfigError, r"other settings \(seed: 0 then, 1 now; tau: 0.5 then, 0.4 now\).*another --output_dir"):
        run_config("mine", **{**mined.knobs, "seed": 1, "tau": 0.4})
    assert (mined.folder / "config.yaml").read_bytes() == before


def test_labels_of_another_labeler_are_never_taken_for_this_run_s(
    tmp_path: Path, teacher_file: str, phantom_folder: Callable[..., Path], quick: dict[str, Any], run_config: Any,
    refused: Any,
) -> None:  # fmt: skip
    """An overlay changes no knob that the user gave: the folder must be refused all the same, by what it changes."""
    knobs = {**quick, "dataset_dir": str(phantom_folder(14, labeled=8)), "teacher_weights": teacher_file}
    knobs |= {"output_dir": str(tmp_path / "out"), "min_score": 0.0}
    run_config("mine", **knobs, gate="false")
    before = records(tmp_path / "out")
    assert {record["labeler"] for record in before} == {"prompted"}
    with refused(ConfigError, r"settings \(.*labeler::_target_: .*build_prompted_labeler' then, .*SelfLabeler' now"):
        run_config("mine", "labeler_self", **knobs)
    with refused(ConfigError, r"other settings \(gate: False then, True now\)"):
        run_config("mine", **knobs)
    with refused(ConfigError, r"other settings \(labeler::exclusive: '\$@task.exclusive' then, True now\)"):
        run_config("mine", **knobs, gate=False, **{"labeler::exclusive": "true"})
    assert records(tmp_path / "out") == before


def test_what_changes_no_result_goes_on_in_the_folder(mined: Any, run_config: Any) -> None:
    before = (mined.folder / "labels" / "manifest.jsonl").stat().st_mtime_ns
    run_config("mine", **{**mined.knobs, "gate": "false", "num_workers": 0, "cache_num": 10, "embedding_cache": "null"})
    assert (mined.folder / "labels" / "manifest.jsonl").stat().st_mtime_ns == before


def test_a_mistyped_knob_is_refused_with_the_nearest(tmp_path: Path, run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"unknown override 'max_epoch' \(did you mean 'max_epochs'\?\)"):
        run_config("mine", max_epoch=1, output_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_missing_teacher_stops_before_the_first_training(
    tmp_path: Path,
    teacher_file: str,
    run_config: Any,
    refused: Any,
    small: dict[str, Any],
) -> None:
    knobs = {**small, "output_dir": str(tmp_path)}
    with refused(WeightsError, r"a weights file or one of the names compact, .*got 'compcat'"):
        run_config("mine", teacher_weights="compcat", **knobs)
    assert not (tmp_path / "supervised").exists()
    assert not (tmp_path / "config.yaml").exists(), "the mended command must not be taken for other settings"


def test_corrected_masks_come_back_as_gold(
    tmp_path: Path, quick: dict[str, Any], teacher_file: str, phantom_folder: Any, run_config: Any, refused: Any
) -> None:
    """What an expert corrects in labels/ of one run trains the next one, and is mined no more."""
    folder, first, second = phantom_folder(14, labeled=8), tmp_path / "first", tmp_path / "second"
    knobs = {**quick, "dataset_dir": str(folder), "teacher_weights": teacher_file, "min_score": 0.0, "gate": False}
    run_config("mine", **knobs, output_dir=str(first), review_budget=2)
    ranked = pd.read_csv(first / "labels" / "review.csv")
    assert ranked["selected"].tolist() == [True] * 2 + [False] * 4
    corrected = tmp_path / "corrected"
    corrected.mkdir()
    for name in ranked["id"][:2]:
        shutil.copy(first / "labels" / "masks" / f"{name}.png", corrected)
    run_config("mine", **knobs, output_dir=str(second), corrections=str(corrected))
    before, after = (metrics_of(run) for run in (first, second))
    assert after["n_corrected"] == 2
    assert after["n_gold"] == before["n_gold"] + 2
    assert after["n_unlabeled"] == before["n_unlabeled"] - 2
    assert not set(ranked["id"][:2]) & set(pd.read_csv(second / "labels" / "manifest.csv")["id"])
    with refused(ConfigError, "corrections: "):
        run_config("mine", **knobs, output_dir=str(second))
