"""Labels of real runs, made again from their manifests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.data import find_images
from labelmine.errors import ConfigError, DataError, WeightsError
from labelmine.journal import sealed
from labelmine.labelers import ReferenceLabeler
from labelmine.quality import AreaRange, Gate, Verdict
from labelmine.review import ReviewSession
from labelmine.review.steps import redrawn
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.training import student_loader, view_dataset
from labelmine.workflows.replay import Replay, open_run
from labelmine.workflows.review import Review, ReviewKnobs
from makers import metrics_of


@pytest.fixture
def knobs(mined: Any, tmp_path: Path) -> dict[str, Any]:
    return {
        "run_dir": str(mined.folder), "teacher_weights": mined.knobs["teacher_weights"], "batch_size": 4,
        "output_dir": str(tmp_path / "replay"), "device": "cpu",
    }  # fmt: skip


@pytest.fixture
def copied(mined: Any, knobs: dict[str, Any], tmp_path: Path) -> Path:
    """The mined run once more, for tests that change it."""
    folder = Path(shutil.copytree(mined.folder, tmp_path / "copied"))
    knobs["run_dir"] = str(folder)
    return folder


def outcomes(tmp_path: Path) -> dict[str, Any]:
    return {row["id"]: row for row in pd.read_csv(tmp_path / "replay" / "replay.csv").to_dict("records")}


def test_every_label_of_a_run_comes_out_the_same(knobs: dict[str, Any], tmp_path: Path, run_config: Any) -> None:
    before = {path: path.read_bytes() for path in sorted(Path(knobs["run_dir"]).rglob("*")) if path.is_file()}
    run_config("replay", **knobs)
    metrics = metrics_of(tmp_path / "replay")
    assert (metrics["equal"], metrics["different"], metrics["not_replayable"]) == (50, 0, 0)
    assert metrics["n_labels"] == 50
    assert any((Path(knobs["run_dir"]) / "labels" / "masks").iterdir())
    assert before == {path: path.read_bytes() for path in before}


def test_fractional_boxes_and_missing_points_are_on_record(
    mined: Any, knobs: dict[str, Any], tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    images = str(phantom_folder(6) / "images")
    run_config(
        "label", dataset_dir=images, model_dir=str(mined.folder), output_dir=str(tmp_path / "out"), device="cpu",
        teacher_weights=knobs["teacher_weights"], margin=0.13, tau=0.3, n_points=80, n_negative=2, min_size=4,
        min_score=0.0, gate=False,
    )  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "out" / "labels" / "manifest.jsonl").read_text().splitlines()]
    prompts = [prompt for record in records for prompt in record["prompts"]]
    assert any(value % 1 for prompt in prompts for value in prompt["box"])
    assert any("padding" in prompt for prompt in prompts)
    run_config("replay", **{**knobs, "run_dir": str(tmp_path / "out"), "dataset_dir": images})
    assert {row["outcome"] for row in outcomes(tmp_path).values()} == {"equal"}


def test_a_changed_mask_is_named(
    copied: Path, knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    path = sorted((copied / "labels" / "masks").iterdir())[3]
    pixels = np.array(Image.open(path))
    pixels[0, :2] = 255 - pixels[0, :2]
    Image.fromarray(pixels).save(path)
    with refused(DataError, rf"{path.stem}: the label came out otherwise \(2 pixels differ\), the first of 1 listed"):
        run_config("replay", **knobs)
    run_config("replay", **knobs, strict=False)
    found = outcomes(tmp_path)
    assert (found[path.stem]["outcome"], found[path.stem]["pixels"]) == ("different", 2)
    assert sum(row["outcome"] == "equal" for row in found.values()) == 49
    path.unlink()
    with refused(DataError, rf"{path.stem}: the label came out otherwise \(.*label cannot be read"):
        run_config("replay", **{**knobs, "output_dir": str(tmp_path / "one")}, ids=path.stem)


def test_ids_choose_and_unknown_ones_are_refused(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any, mined: Any
) -> None:
    known = sorted(path.stem for path in (mined.folder / "labels" / "masks").iterdir())
    run_config("replay", **knobs, ids=known[4:6])
    assert list(outcomes(tmp_path)) == known[4:6]
    with refused(ConfigError, r"other settings \(ids: \[.*\] then, \['nobody'\] now\)"):
        run_config("replay", **knobs, ids=["nobody"])
    with refused(DataError, r"ids: expected images that the manifest names, got \['nobody'\] \(1 unknown\)"):
        run_config("replay", **{**knobs, "output_dir": str(tmp_path / "other")}, ids=[known[0], "nobody"])


def test_another_teacher_is_refused(knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any) -> None:
    torch.manual_seed(1)
    other = save_compact_teacher(CompactTeacher(64), tmp_path / "random.safetensors")
    with refused(
        WeightsError, r"expected the teacher that labelled it, 'random' \(weights' sha256 .*\), got 'random' \("
    ):
        run_config("replay", **{**knobs, "teacher_weights": str(other)})


@pytest.mark.parametrize("choices", [["blend"] * 3, ["student"] * 3, ["labeler", "student", "blend"]])
@pytest.mark.parametrize("fallback", ["self", "none"])
def test_what_the_gate_put_together_comes_out_the_same(
    choices: list[str], fallback: str, copied: Path, knobs: dict[str, Any], tmp_path: Path,
    phantom_folder: Callable[..., Path], run_config: Any,
) -> None:  # fmt: skip
    gate = Gate(
        class_names=("foreground",),
        size_from={"small": 0.0, "medium": 0.3, "large": 0.6},
        choices=(dict(zip(("small", "medium", "large"), choices, strict=True)),),  # type: ignore[arg-type]
    )
    Verdict(gate=gate, expected_dice=None, area_range=AreaRange((0.0,), (1.0,)), source={}).save(copied / "gate.json")
    images = str(phantom_folder(8) / "images")
    run_config(
        "label", dataset_dir=images, model_dir=str(copied), output_dir=str(tmp_path / "out"), device="cpu",
        teacher_weights=knobs["teacher_weights"], min_score=0.0, fallback=fallback, batch_size=4,
    )  # fmt: skip
    rows = pd.read_csv(tmp_path / "out" / "labels" / "manifest.csv")
    assert set(rows["drawn_by"]) <= {"none" if c == "student" and fallback == "none" else c for c in choices}
    run_config("replay", **{**knobs, "run_dir": str(tmp_path / "out")}, dataset_dir=images, model_dir=str(copied))
    assert [row["outcome"] for row in outcomes(tmp_path).values()] == ["equal"] * 8


def test_what_prompts_do_not_tell_is_counted(
    copied: Path, knobs: dict[str, Any], tmp_path: Path, run_config: Any
) -> None:
    manifest = copied / "labels" / "manifest.jsonl"
    records = [json.loads(line) for line in manifest.read_text().splitlines()]
    for record in records:
        del record["check"]
    records[0] |= {"drawn_by": "student", "student_sha256": "0" * 64}
    records[1]["labeler"] = "reference"
    records[2]["prompts"] = [{"class": 0, "mask": True}]
    records[3]["id"] = "gone"
    manifest.write_bytes(b"".join(sealed(json.dumps(record)) for record in records))
    run_config("replay", **knobs)
    found = list(outcomes(tmp_path).values())
    assert [row["reason"] for row in found[:4]] == [
        "the student that it depends on (000000000000) is not there",
        "labeler reference: prompts alone do not tell this label",
        "labeler prompted, asked by mask: prompts alone do not tell this label",
        "its image is not in the image set",
    ]
    assert {row["outcome"] for row in found[:4]} == {"not replayable"}
    assert {row["outcome"] for row in found[4:]} == {"equal"}


@pytest.mark.parametrize("tta", [True, False])
def test_self_labels_come_from_their_student(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any, tta: bool
) -> None:
    images, out = str(phantom_folder(5) / "images"), tmp_path / "out"
    run_config(
        "label", "labeler_self", dataset_dir=images, model_dir=str(mined.folder), output_dir=str(out), device="cpu",
        tta=tta,
    )  # fmt: skip
    run = open_run(str(out), images, model_dir=str(mined.folder))
    assert Replay(run, None, str(tmp_path / "again"))()["outcome"].tolist() == ["equal"] * 5
    table = Replay(open_run(str(out), images), None, str(tmp_path / "again"))()
    assert table["reason"].str.contains(r"the student that it depends on \(\w{12}\) is not there").all()


def test_references_are_asked_again(
    copied: Path, knobs: dict[str, Any], tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    folder = phantom_folder(6, labeled=3)
    run_config(
        "label", "labeler_reference", dataset_dir=str(folder), model_dir=str(copied), output_dir=str(tmp_path / "out"),
        device="cpu", gate=False, batch_size=3,
    )  # fmt: skip
    run = open_run(str(tmp_path / "out"), str(folder), model_dir=str(copied))
    images = find_images(str(folder), str(tmp_path / "seen"), run.store.classes)
    gold = [item for item in images.items if "label" in item]
    references = student_loader(view_dataset(gold, images, 64, 0), 3, shuffle=False)
    table = Replay(run, None, str(tmp_path / "again"), again=ReferenceLabeler(references), batch_size=3)()
    assert table["outcome"].tolist() == ["equal"] * 6


def test_a_folder_without_labels_or_images_is_refused(
    knobs: dict[str, Any], tmp_path: Path, copied: Path, run_config: Any, refused: Any
) -> None:
    with refused(DataError, "classes.json: expected .* Give the output folder of such a run"):
        run_config("replay", **{**knobs, "run_dir": str(tmp_path / "nowhere")})
    shutil.rmtree(copied / "phantom")
    with refused(ConfigError, "dataset_dir: expected the images of the run in copied, which wrote none. Got: null"):
        run_config("replay", **knobs)


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'run_folder' \(did you mean 'run_dir'\?\)"):
        run_config("replay", run_folder="x")


@pytest.fixture
def reviewed(copied: Path, tmp_path: Path) -> ReviewSession:
    """A review of the run in the session of the page; nothing is decided yet."""
    knobs = ReviewKnobs(
        output_dir=None, seed=0, device="cpu", dataset_dir=None, mask_pattern=None, window=None, slice_axis=-1,
        model_dir=str(copied), labels_dir=None, budget=None, diversity=0.5, host="127.0.0.1", port=0, browser=False,
        embedding_cache=str(tmp_path / "cache"), cache_gb=1,
    )  # fmt: skip
    return Review(knobs).session


def decide(session: ReviewSession, place: int, verdict: str, mask: Any = None, **more: Any) -> str:
    seen = session.case(place, "ann")
    said = {"reviewer": "ann", "verdict": verdict, "seconds": 2, "label_sha256": seen["label_sha256"]}
    return session.decide(place, {**said, "seen": seen["seen"], **more}, mask).id


def test_what_a_reviewer_decided_comes_out_again(
    reviewed: ReviewSession, copied: Path, knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    box = {"class": 0, "box": [6.0, 6.0, 40.0, 40.0]}
    steps = [{"tool": "clear", "class": 0}, {"tool": "box", **box}, {"tool": "fill", "class": 0}]
    exclusive = reviewed.cases.predictor.student.exclusive
    drawn = redrawn(reviewed.cases.label(1), steps, lambda prompt: reviewed.ask(1, prompt).mask, exclusive)
    asked = {"prompts": [box], "tools": {"clear": 1, "box": 1, "fill": 1}}
    names = {
        "accepted": decide(reviewed, 0, "accepted"),
        "again": decide(reviewed, 1, "corrected", drawn, steps=steps, **asked),
        "brushed": decide(reviewed, 2, "corrected", ~drawn, steps=[{"tool": "brush", "class": 0}]),
        "rejected": decide(reviewed, 3, "rejected"),
        "unsaid": decide(reviewed, 4, "corrected", ~drawn),
    }
    knobs["embedding_cache"] = str(tmp_path / "cache")
    run_config("replay", **knobs)
    table = pd.read_csv(tmp_path / "replay" / "replay_decisions.csv", keep_default_na=False).set_index("id")
    found = {name: table.loc[image] for name, image in names.items()}
    assert {name: row["outcome"] for name, row in found.items()} == {
        "accepted": "equal", "again": "equal", "brushed": "not replayable", "rejected": "equal",
        "unsaid": "not replayable",
    }  # fmt: skip
    assert (found["again"]["how"], found["again"]["reviewer"]) == ("clear, box, fill", "ann")
    assert found["again"]["when"] > "2026"
    assert "strokes are not kept" in found["brushed"]["reason"]
    counts = {"n": 5, "equal": 3, "different": 0, "not_replayable": 2}
    assert metrics_of(tmp_path / "replay")["decisions"] == counts

    lied = [{"tool": "clear", "class": 0}]
    decide(reviewed, 1, "corrected", drawn, steps=lied)  # begun from the first correction, which it cleared
    path = reviewed.log.mask_path(reviewed.log.final()[names["accepted"]].mask_sha256)
    Image.fromarray(255 - np.array(Image.open(path))).save(path)
    knobs["output_dir"] = str(tmp_path / "more")
    with refused(DataError, r"what a reviewer decided came out otherwise \(.*\), the first of 2 listed in replay_dec"):
        run_config("replay", **knobs)
    table = pd.read_csv(tmp_path / "more" / "replay_decisions.csv").set_index("id")
    assert table.loc[names["again"], "pixels"] == drawn.any(axis=0).sum()
    assert "was changed since it was decided" in table.loc[names["accepted"], "reason"]
