"""``study.yaml`` on a few images: cells in processes of their own, shared students, a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from labelmine.data import write_phantom_set
from labelmine.errors import ConfigError, LabelmineError

CELLS = ["supervised/0.4", "self_training/0.4", "one_time/0.4", "supervised/1"]


@pytest.fixture(scope="module")
def knobs(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, teacher_file: str) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("sets")
    sets = {"dataset_dir": root / "home", "external_dir": root / "clinic"}
    write_phantom_set(sets["dataset_dir"], 20, 0, 0, size=48)
    write_phantom_set(sets["external_dir"], 4, 0, 0, seed=1, size=48)
    return {
        **small, **{key: str(folder) for key, folder in sets.items()}, "max_epochs": 1, "teacher_weights": teacher_file,
        "methods": ["supervised", "self_training", "one_time"], "fractions": [0.4, 1.0], "seeds": [0], "threads": 1,
        "knobs": {"folds": 0, "fit_steps": 0},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(knobs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, run_config: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("study")
    run_config("study", **knobs, output_dir=str(folder))
    return folder


def test_all_cells_that_have_something_to_mine_are_run(finished: Path) -> None:
    found = {str(path.parent.parent.relative_to(finished / "cells")) for path in finished.glob("cells/*/*/*/cell.json")}
    assert found == set(CELLS)


def test_cells_share_the_supervised_student_and_the_embeddings(finished: Path) -> None:
    files = [finished / "cells" / cell / "seed_0" / "supervised" / "best.safetensors" for cell in CELLS[:3]]
    assert len({file.read_bytes() for file in files}) == 1
    assert list((finished / "embeddings").rglob("*"))


def test_costs_are_kept(finished: Path) -> None:
    facts = {cell: json.loads((finished / "cells" / cell / "seed_0" / "cell.json").read_text()) for cell in CELLS}
    assert {f["steps"] for f in facts.values()} == {2}
    assert all(f["n_gold"] + f["n_gold_val"] == (16 if cell.endswith("1") else 6) for cell, f in facts.items())
    assert facts["one_time/0.4"]["teacher_calls"] >= facts["one_time/0.4"]["n_unlabeled"] == 10
    assert facts["self_training/0.4"]["teacher_calls"] is None
    assert all(f["seconds"] > 0 for f in facts.values())
    assert facts["one_time/0.4"]["seconds"] > facts["supervised/0.4"]["seconds"]


def test_page_and_tables(finished: Path) -> None:
    table = pd.read_csv(finished / "results.csv")
    assert set(zip(table["method"], table["fraction"], table["test_set"], strict=True)) == {
        (cell.split("/")[0], float(cell.split("/")[1]), name) for cell in CELLS for name in ("test", "clinic")
    }
    page = (finished / "index.html").read_text()
    assert "Self-training" in page
    assert "clinic" in page
    assert "git revision" in page
    assert str(finished) not in page
    assert (finished / "results.md").is_file()


def test_finished_cells_are_never_run_again(finished: Path, knobs: dict[str, Any], run_config: Any) -> None:
    files = sorted(finished.glob("cells/**/*"))
    before = {file: file.stat().st_mtime_ns for file in files}
    run_config("study", **{**knobs, "methods": ["supervised", "one_time"]}, output_dir=str(finished))
    assert {file: file.stat().st_mtime_ns for file in sorted(finished.glob("cells/**/*"))} == before
    run_config("study", **knobs, output_dir=str(finished))


def test_one_cell_of_a_job_array(knobs: dict[str, Any], tmp_path: Path, run_config: Any) -> None:
    out = tmp_path / "out"
    run_config("study", **knobs, output_dir=str(out), cell=-1)
    assert not (out / "cells").exists()
    run_config("study", **knobs, output_dir=str(out), cell=0)
    assert [path.parent.parts[-3] for path in out.glob("cells/*/*/*/cell.json")] == ["supervised"]
    assert not (out / "index.html").exists()


def test_a_failed_cell_is_named_on_the_page(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    odd = {"catalogue::odd": {"title": "Odd", "knobs": {"min_score": 2.0}}}
    grid = {"methods": ["supervised", "odd"], "fractions": [0.4]}
    run_config("study", **{**knobs, **grid, **odd}, output_dir=str(tmp_path))
    with refused(LabelmineError, "odd, 0.4, seed 0: .*min_score"):  # a job array's job must not look well
        run_config("study", **{**knobs, **grid, **odd}, output_dir=str(tmp_path), cell=1)
    assert "min_score" in (tmp_path / "cells" / "odd" / "0.4" / "seed_0" / "error.txt").read_text()
    page = (tmp_path / "index.html").read_text()
    assert "odd, 0.4, seed 0" in page
    assert "min_score" in page


def test_other_shared_knobs_are_another_study(
    finished: Path, knobs: dict[str, Any], run_config: Any, refused: Any
) -> None:
    with refused(ConfigError, "holds a run with other settings"):
        run_config("study", **{**knobs, "max_epochs": 3}, output_dir=str(finished))


def test_students_may_start_from_simclr(knobs: dict[str, Any], tmp_path: Path, run_config: Any) -> None:
    simclr = {"simclr": True, "simclr_knobs": {"max_epochs": 1, "batch_size": 4, "steps_per_epoch": 1}}
    grid = {"methods": ["supervised"], "fractions": [0.4], "external_dir": []}
    run_config("study", **{**knobs, **grid, **simclr}, output_dir=str(tmp_path))
    settings = yaml.safe_load((tmp_path / "cells/supervised/0.4/seed_0/config.yaml").read_text())
    assert settings["pretrained"] == str(tmp_path / "cells/simclr/0.4/seed_0/encoder.safetensors")
    assert pd.read_csv(tmp_path / "results.csv")["method"].tolist() == ["supervised"]


@pytest.mark.parametrize(("min_agreement", "examined"), [(0.0, "mixed"), (1.0, "supervised")])
def test_made_pairs_are_a_method(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, min_agreement: float, examined: str
) -> None:
    write_phantom_set(tmp_path / "home", 30, 0, 0, size=48)
    quick = {
        "generator_size": 16, "channels": [32], "attention": [False], "generator_epochs": 1, "generator_steps": 1,
        "generator_batch_size": 2, "sampling_steps": 1, "count": 8, "opening": 0, "min_agreement": min_agreement,
        "copy_quantile": 0.0, "feature_network": knobs["teacher_weights"],
    }  # fmt: skip
    methods = ["supervised", "synthetic", "synthetic_alone"]
    chosen = {"dataset_dir": str(tmp_path / "home"), "methods": methods, "fractions": [1.0]}
    run_config("study", **{**knobs, **chosen, "knobs": quick}, output_dir=str(tmp_path / "out"))
    cells = tmp_path / "out" / "cells"
    facts = json.loads((cells / "synthetic" / "1" / "seed_0" / "cell.json").read_text())
    assert (facts["steps"], facts["n_unlabeled"]) == (2, 0)
    students = [cells / name / "1" / "seed_0" / "supervised" / "best.safetensors" for name in methods]
    assert len({path.read_bytes() for path in students}) == 1
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(table["method"]) == set(methods)
    made, alone = (cells / name / "1" / "seed_0" for name in methods[1:])
    settings = yaml.safe_load((alone / "config.yaml").read_text())
    assert settings["generator_file"] == str(made / "generator" / "generator.safetensors")
    assert not list((alone / "generator").glob("*.safetensors"))
    tables = {path.stem for path in made.glob("test_*.csv")}
    assert f"test_{examined}" in tables
    assert ("test_mixed" in tables) is (examined == "mixed")
