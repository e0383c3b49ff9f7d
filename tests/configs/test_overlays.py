from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

import labelmine.teachers
from labelmine.bundle import bundle_root
from labelmine.errors import WeightsError
from labelmine.labelers import build_prompted_labeler
from labelmine.teachers import CompactTeacher, HuggingFaceTeacher, build_sam_teacher
from makers import knobs_of

OVERLAYS = ["cpu", "teacher_sam", "teacher_medsam", "teacher_hugging_face"]
#: Tested in test_labeler_overlays.py or in a file of their own: what they bring is not for train.yaml.
LABELER_OVERLAYS = [
    "labeler_mean_teacher",
    "labeler_recorded",
    "labeler_reference",
    "labeler_self",
    "labeler_weak_to_strong",
]


def test_every_config_is_tested() -> None:
    names = {path.stem for path in (bundle_root() / "configs").glob("*.yaml")} - {
        *OVERLAYS,
        *LABELER_OVERLAYS,
        "protocol_s1",
    }
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
    assert (parser.get_parsed_content("encoder"), parser.get_parsed_content("learning_rate")) == ("mobilenet_v2", 1e-3)
    parser["dataset_dir"] = str(tmp_path)
    parser.parse(reset=True)
    assert parser.get_parsed_content("image_size") == 160


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


def test_medsam_is_asked_by_box_or_by_points_of_both_kinds() -> None:
    found = torch.full((1, 1, 64, 64), 0.1)
    found[..., 8:30, 10:40] = found[..., 40:56, 40:60] = 0.9
    found[..., 20:26, 45:50] = 0.01  # negative points lie where the student is surest of background

    def prompts(**knobs: Any) -> Any:
        chosen = knobs_of("mine", "teacher_medsam", **knobs, embedding_cache=None)
        return build_prompted_labeler(CompactTeacher(64), chosen, exclusive=False).prompts(found)

    by_box = prompts()
    assert by_box.points is None
    assert by_box.boxes.tolist() == [[10, 8, 40, 30], [40, 40, 60, 56]]
    assert prompts(per_component=False).boxes.tolist() == [[10, 8, 60, 56]]
    by_points = prompts(prompt_kinds=["points"], n_points=1, n_negative=4)
    assert by_points.boxes is None
    assert by_points.point_labels.tolist() == [[1, 0, 0, 0, 0]] * 2
    x, y = by_points.points[0].long().unbind(1)
    assert found[0, 0, y, x].tolist() == pytest.approx([0.9, 0.01, 0.01, 0.01, 0.01])


@pytest.mark.parametrize("name", ["teacher_sam", "teacher_medsam"])
def test_missing_weights_are_said_at_once(name: str, tmp_path: Path, run_config: Any, refused: Any) -> None:
    with refused(WeightsError, r"got 'no_such.pth', which is neither"):
        run_config("mine", name, teacher_weights="no_such.pth", output_dir=str(tmp_path))


@pytest.fixture(scope="module")
def hugging_face_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature SAM as ``save_pretrained`` writes it."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("weights") / "miniature"
    small: dict[str, Any] = {"num_attention_heads": 2, "mlp_dim": 16, "num_hidden_layers": 2}
    vision = transformers.SamVisionConfig(
        hidden_size=16,
        output_channels=16,
        image_size=64,
        patch_size=8,
        global_attn_indexes=[1],
        num_pos_feats=8,
        **small,
    )
    config = transformers.SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8},
        mask_decoder_config={"hidden_size": 16, "iou_head_hidden_dim": 16, **small},
    )
    transformers.SamModel(config).save_pretrained(folder)
    preparation = transformers.SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    transformers.SamProcessor(preparation).save_pretrained(folder)
    return folder


def test_hugging_face_overlay_builds_its_teacher(hugging_face_folder: Path, tmp_path: Path, config_files: Any) -> None:
    parser = ConfigParser()
    parser.read_config(config_files("mine", "teacher_hugging_face"))
    assert parser["teacher_weights"] == "facebook/sam-vit-base"
    parser["teacher_weights"], parser["device"] = str(hugging_face_folder), "cpu"
    parser["output_dir"] = str(tmp_path)
    parser.parse(reset=True)
    teacher = parser.get_parsed_content("labeler").teacher
    assert teacher.name == "miniature"
    assert isinstance(parser.get_parsed_content("teacher"), HuggingFaceTeacher)


def test_hugging_face_overlay_labels(
    hugging_face_folder: Path, mined: Any, tmp_path: Path, phantom_folder: Any, run_config: Any
) -> None:
    run_config(
        "label", "teacher_hugging_face", dataset_dir=str(phantom_folder(2) / "images"), model_dir=str(mined.folder),
        output_dir=str(tmp_path / "out"), teacher_weights=str(hugging_face_folder), device="cpu",
    )  # fmt: skip
    assert "miniature" in (tmp_path / "out" / "labels" / "manifest.csv").read_text()
