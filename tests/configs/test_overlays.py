from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

import labelmine.teachers
from labelmine.bundle import bundle_root
from labelmine.errors import WeightsError
from labelmine.teachers import CompactTeacher, build_sam_teacher

OVERLAYS = ["cpu", "teacher_sam", "teacher_medsam"]


def test_every_config_is_tested() -> None:
    names = {path.stem for path in (bundle_root() / "configs").glob("*.yaml")} - set(OVERLAYS)
    here = Path(__file__).parent
    assert [name for name in sorted(names) if not (here / f"test_{name}_config.py").is_file()] == []


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("base", ["mine", "train"])
def test_an_overlay_only_changes_what_its_base_has(name: str, base: str, config_files: Any) -> None:
    overlay, known = (ConfigParser.load_config_file(config_files(one)[0]) for one in (name, base))
    allowed = {"teacher", "teacher_weights", "prompt_kinds"} if base == "train" else set()
    assert set(overlay) - allowed <= set(known)


def test_cpu_sizes_follow_the_data(tmp_path: Path, config_files: Any) -> None:
    parser = ConfigParser()
    parser.read_config(config_files("mine", "cpu"))
    assert parser.get_parsed_content("image_size") == 96
    assert (parser.get_parsed_content("encoder"), parser.get_parsed_content("learning_rate")) == ("mobilenet_v2", 3e-4)
    parser["dataset_dir"] = str(tmp_path)
    parser.parse(reset=True)
    assert parser.get_parsed_content("image_size") == 128


def test_cpu_overlay_runs(tmp_path: Path, run_config: Any) -> None:
    run_config("train", "cpu", image_size=64, max_epochs=1, steps_per_epoch=2, output_dir=str(tmp_path))
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize(("name", "weights"), [("teacher_sam", "sam_vit_b"), ("teacher_medsam", "medsam_vit_b")])
def test_other_teachers_take_the_compact_one_s_place(
    name: str,
    weights: str,
    mined: Any,
    tmp_path: Path,
    phantom_folder: Any,
    monkeypatch: pytest.MonkeyPatch,
    run_config: Any,
    small: dict[str, Any],
) -> None:
    """SAM is too large to build here: what the overlay calls it with is checked, and a small stand-in answers."""
    called: dict[str, Any] = {}

    def stand_in(**kwargs: Any) -> CompactTeacher:
        inspect.signature(build_sam_teacher).bind(**kwargs)
        called.update(kwargs)
        return CompactTeacher(64, name=kwargs["weights"]).eval()

    monkeypatch.setattr(labelmine.teachers, "build_sam_teacher", stand_in)
    run_config(
        "label", name, dataset_dir=str(phantom_folder(2) / "images"), model_dir=str(mined.folder),
        output_dir=str(tmp_path / "out"), device="cpu",
    )  # fmt: skip
    assert called["weights"] == weights
    assert called.get("preprocessing") == ("medsam" if name == "teacher_medsam" else None)
    assert weights in (tmp_path / "out" / "labels" / "manifest.csv").read_text()


@pytest.mark.parametrize("name", ["teacher_sam", "teacher_medsam"])
def test_missing_weights_are_said_at_once(name: str, tmp_path: Path, run_config: Any, refused: Any) -> None:
    with refused(WeightsError, r"got 'no_such.pth', which is neither"):
        run_config("mine", name, teacher_weights="no_such.pth", output_dir=str(tmp_path))
