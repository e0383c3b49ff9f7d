"""A teacher from transformers answers as the library's own processor and model do, one image at a time."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from labelmine.errors import ConfigError, WeightsError
from labelmine.labelers import PromptedLabeler, Reason, Refusal
from labelmine.prompts import Prompts
from labelmine.teachers import HuggingFaceTeacher, Teacher, build_hugging_face_teacher
from labelmine.teachers.fitted import with_own_decoder
from makers import learnt_a_little
from teacher_makers import DECODER, PYRAMID, WIDTH, square, tiny_pyramid, tiny_sam2

transformers = pytest.importorskip("transformers")


def tiny_sam(prefix: str) -> Any:
    kinds = ("VisionConfig", "PromptEncoderConfig", "Config", "Model")
    part = {kind: getattr(transformers, f"{prefix}{kind}") for kind in kinds}
    vision = part["VisionConfig"](
        hidden_size=32, output_channels=WIDTH, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        window_size=3, global_attn_indexes=[1], mlp_dim=32, num_pos_feats=WIDTH // 2, initializer_range=0.02,
    )  # fmt: skip
    prompt = part["PromptEncoderConfig"](hidden_size=WIDTH, image_size=64, patch_size=8, mask_input_channels=8)
    decoder = {**DECODER, "vit_dim": 32} if prefix == "SamHQ" else DECODER
    config = part["Config"](
        vision_config=vision.to_dict(), prompt_encoder_config=prompt.to_dict(), mask_decoder_config=decoder
    )
    return part["Model"](config)


def tiny_edgetam() -> Any:
    arguments = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    backbone = transformers.TimmWrapperConfig(architecture="repvit_m1", num_classes=2, model_args=arguments)
    return tiny_pyramid(
        "EdgeTam", transformers.EdgeTamVisionConfig(backbone_config=backbone, **PYRAMID), side=64, patch=16
    )


def tiny_sam3_tracker() -> Any:
    backbone = transformers.Sam3ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14,
        window_size=2, global_attn_indexes=[1], pretrain_image_size=28,
    )  # fmt: skip
    vision = transformers.Sam3VisionConfig(backbone_config=backbone, **PYRAMID)
    return tiny_pyramid("Sam3Tracker", vision, side=56, patch=14)


def padded() -> Any:
    return transformers.SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})


FAMILIES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "sam": (lambda: tiny_sam("Sam"), lambda: transformers.SamProcessor(padded())),
    "sam_hq": (lambda: tiny_sam("SamHQ"), lambda: transformers.SamHQProcessor(padded())),
    "sam2": (tiny_sam2, lambda: transformers.Sam2Processor(square("Sam2ImageProcessor", 64))),
    "edgetam": (tiny_edgetam, lambda: transformers.Sam2Processor(square("Sam2ImageProcessor", 64))),
    "sam3_tracker": (tiny_sam3_tracker, lambda: transformers.Sam3TrackerProcessor(square("Sam3ImageProcessor", 56))),
}


@torch.no_grad()
def enlivened(model: Any, processor: Any) -> Any:
    """Give fresh weights the size of trained ones: positions that are not zero, logits of some units.

    The Fourier matrix of points is drawn at scale 1, as in SAM; the tiny configs' 16 would blow up rounding errors.
    """
    for name, value in model.named_parameters():
        if "pos_embed" in name or "no_memory" in name:
            value.normal_(std=0.5)
        elif "positional" in name:
            value.normal_()
        elif value.ndim > 1:
            value.mul_(4)
    model.eval()
    decoder = model.mask_decoder
    teacher = HuggingFaceTeacher(model, processor)
    strength = teacher.decode(teacher.encode(pictures(2, 64, 64)), asked("box"), (64, 64)).logits.std()
    for head in [
        *decoder.output_hypernetworks_mlps,
        *([decoder.hq_mask_mlp] if hasattr(decoder, "hq_mask_mlp") else []),
    ]:
        head.proj_out.weight *= 3 / strength
        head.proj_out.bias *= 3 / strength
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each family's model and processor as ``save_pretrained`` writes them."""
    found = {}
    for name, (model, processor) in FAMILIES.items():
        torch.manual_seed(0)
        found[name] = tmp_path_factory.mktemp("weights") / name
        enlivened(model(), processor()).save_pretrained(found[name])
        processor().save_pretrained(found[name])
    return found


@pytest.fixture(scope="module")
def teachers(folders: dict[str, Path]) -> dict[str, HuggingFaceTeacher]:
    return {name: build_hugging_face_teacher(str(folder)) for name, folder in folders.items()}


@pytest.fixture(params=list(FAMILIES))
def teacher(request: pytest.FixtureRequest, teachers: dict[str, HuggingFaceTeacher]) -> HuggingFaceTeacher:
    return teachers[request.param]


def pictures(count: int, height: int, width: int) -> Tensor:
    """8-bit pictures of smooth colour with grain, as (B, 3, H, W) in [0, 1]."""
    made = torch.Generator().manual_seed(count)
    smooth = F.interpolate(torch.rand(count, 3, 5, 6, generator=made), (height, width), mode="bicubic").clamp(0, 1)
    grain = torch.randn(count, 3, height, width, generator=made) * 0.03
    return ((smooth + grain).clamp(0, 1) * 255).round() / 255


# Three objects of image 1, one of image 0, none of image 2.
INDEX = torch.tensor([1, 0, 1, 1])
BOXES = torch.tensor([[5.0, 8, 40, 30], [2, 2, 20, 35], [30.5, 10.25, 47, 39], [0, 0, 48, 40]])
POINTS = torch.tensor([[[20.0, 18], [3, 4]], [[10, 20], [0, 0]], [[40, 22], [44, 30]], [[9, 9], [0, 0]]])
LABELS = torch.tensor([[1.0, 0], [1, -1], [1, 1], [1, -1]])
MASKS = torch.linspace(-6, 6, 64).expand(4, 1, 64, 64) * torch.tensor([1.0, -1, 0.5, 0.2])[:, None, None, None]
KINDS = ["box", "points", "box+points", "box+mask", "mask"]


def asked(kinds: str, **changed: Tensor) -> Prompts:
    parts: dict[str, Tensor] = {}
    if "box" in kinds:
        parts["boxes"] = BOXES
    if "points" in kinds:
        parts |= {"points": POINTS, "point_labels": LABELS}
    if "mask" in kinds:
        parts["masks"] = MASKS
    return Prompts(**{"image_index": INDEX, "class_index": torch.zeros_like(INDEX), **parts, **changed})


@torch.no_grad()
def by_the_library(
    teacher: HuggingFaceTeacher, image: Tensor, prompts: Prompts, n: int, multimask: bool
) -> tuple[Tensor, float]:
    """One object of one image through processor, model and ``post_process_masks``, as the library's pages show it."""
    model, processor = teacher.model, teacher.processor
    inputs: dict[str, Any] = {}
    if prompts.boxes is not None:
        inputs["input_boxes"] = [[prompts.boxes[n].tolist()]]
    if prompts.points is not None and prompts.point_labels is not None:
        inputs["input_points"] = [[prompts.points[n].tolist()]]
        inputs["input_labels"] = [[prompts.point_labels[n].int().tolist()]]
    picture = (image * 255).round().byte().permute(1, 2, 0).numpy()
    made = processor(images=picture, return_tensors="pt", **inputs)
    sizes = [made.pop(key) for key in ("original_sizes", "reshaped_input_sizes") if key in made]
    if prompts.masks is not None:
        side = 4 * model.prompt_encoder.image_embedding_size[0]
        made["input_masks"] = F.interpolate(prompts.masks[n : n + 1], (side, side), mode="bilinear", antialias=True)
    output = model(**made, multimask_output=multimask)
    masks = processor.post_process_masks(output.pred_masks, *sizes, binarize=False)[0][0]
    scores = output.iou_scores[0, 0]
    return masks[scores.argmax()], float(scores.max())


@pytest.mark.parametrize(("size", "multimask"), [((40, 48), True), ((90, 60), False)])
@pytest.mark.parametrize("kinds", KINDS)
def test_answers_are_the_librarys(
    teacher: HuggingFaceTeacher, kinds: str, size: tuple[int, int], multimask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four objects in two of three images, in one call, against one call of the library for each."""
    images, prompts = pictures(3, *size), asked(kinds)
    monkeypatch.setattr(teacher, "multimask", multimask)
    answer = teacher.decode(teacher.encode(images), prompts, size)
    assert answer.logits.shape == (4, *size)
    assert answer.logits.std() > 0.5
    for n, image in enumerate(INDEX.tolist()):
        mask, iou = by_the_library(teacher, images[image], prompts, n, multimask)
        np.testing.assert_allclose(answer.logits[n].numpy(), mask.numpy(), atol=1e-4)
        assert answer.predicted_iou[n].item() == pytest.approx(np.clip(iou, 0, 1), abs=1e-4)


def test_every_part_of_the_question_counts(teacher: HuggingFaceTeacher) -> None:
    """Guards the test above: on weights that ignore prompt or image, it would pass with a wrong pairing."""
    embeddings = teacher.encode(pictures(3, 40, 48))
    here = teacher.decode(embeddings, asked("box+points"), (40, 48)).logits
    others = {
        "image": asked("box+points", image_index=torch.tensor([2, 2, 2, 2])),
        "box": asked("box+points", boxes=BOXES.roll(1, 0)),
        "points": asked("box+points", points=POINTS.roll(1, 0)),
        "labels": asked("box+points", point_labels=1 - LABELS.abs()),
    }
    for part, prompts in others.items():
        there = teacher.decode(embeddings, prompts, (40, 48)).logits
        assert (here - there).abs().amax((1, 2)).min() > 1e-3, part


def test_objects_are_decoded_in_parts(teacher: HuggingFaceTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, prompts = teacher.encode(pictures(2, 40, 48)), asked("box+points")
    whole = teacher.decode(embeddings, prompts, (40, 48))
    rows: list[int] = []
    hook = teacher.model.mask_decoder.register_forward_pre_hook(
        lambda _, __, given: rows.append(len(given["image_embeddings"])), with_kwargs=True
    )
    monkeypatch.setattr(teacher, "max_objects", 3)
    parts = teacher.decode(embeddings, prompts, (40, 48))
    hook.remove()
    assert rows == [3, 1]
    torch.testing.assert_close(parts.logits, whole.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(parts.predicted_iou, whole.predicted_iou, atol=1e-5, rtol=0)


def test_no_objects_bring_no_masks(teacher: HuggingFaceTeacher) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    prompts = Prompts(image_index=none, class_index=none, boxes=torch.zeros(0, 4))
    answer = teacher.decode(teacher.encode(pictures(1, 40, 48)), prompts, (40, 48))
    assert (answer.logits.shape, answer.predicted_iou.shape) == ((0, 40, 48), (0,))


def test_half_precision_embeddings_give_the_same_masks(teacher: HuggingFaceTeacher) -> None:
    """The cache stores float16."""
    embeddings, prompts = teacher.encode(pictures(3, 40, 48)), asked("box+points")
    exact = teacher.decode(embeddings, prompts, (40, 48)).logits > 0
    rounded = teacher.decode(embeddings.half(), prompts, (40, 48)).logits > 0
    common, either = (exact & rounded).sum((1, 2)), (exact | rounded).sum((1, 2))
    assert (either > 20).any()
    assert (common >= 0.99 * either).all()


def test_teacher_is_frozen_and_follows_the_protocol(teacher: HuggingFaceTeacher) -> None:
    assert isinstance(teacher, Teacher)
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
    embeddings = teacher.encode(torch.rand(2, 3, 40, 48, requires_grad=True))
    assert (embeddings.ndim, embeddings.requires_grad) == (2, False)
    assert not teacher.decode(embeddings, asked("box", image_index=INDEX * 0), (40, 48)).logits.requires_grad


def test_builder_keeps_name_hash_and_precision(folders: dict[str, Path]) -> None:
    teacher = build_hugging_face_teacher(str(folders["sam2"]), dtype="bfloat16", max_objects=5)
    assert (teacher.name, teacher.max_objects, teacher.multimask) == ("sam2", 5, True)
    assert len(teacher.weights_sha256) == 64
    assert {p.dtype for p in teacher.parameters()} == {torch.bfloat16}
    embeddings = teacher.encode(pictures(3, 40, 48))
    assert embeddings.dtype == torch.bfloat16
    for kinds in KINDS:
        answer = teacher.decode(embeddings, asked(kinds), (40, 48))
        assert (answer.logits.dtype, answer.predicted_iou.dtype) == (torch.float32, torch.float32)
        assert answer.logits.isfinite().all()


def test_medsam_answers_with_its_single_mask(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "MedSAM-base").symlink_to(folders["sam"])
    assert not build_hugging_face_teacher(str(tmp_path / "MedSAM-base")).multimask
    assert build_hugging_face_teacher(str(tmp_path / "MedSAM-base"), multimask=True).multimask


def test_fingerprint_tells_apart_what_changes_embeddings(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders["sam"]
    own = build_hugging_face_teacher(str(folder)).fingerprint
    assert own == build_hugging_face_teacher(str(folder), multimask=False, max_objects=1).fingerprint
    others = [build_hugging_face_teacher(str(folder), dtype="bfloat16").fingerprint]
    others.append(build_hugging_face_teacher(str(folders["sam_hq"])).fingerprint)
    model, processor = tiny_sam("Sam"), FAMILIES["sam"][1]()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    others.append(build_hugging_face_teacher(str(tmp_path)).fingerprint)
    settings = transformers.SamImageProcessor.from_pretrained(folder, image_mean=[0.1, 0.2, 0.3])
    model = transformers.SamModel.from_pretrained(folder)
    weights = build_hugging_face_teacher(str(folder)).weights_sha256
    changed = HuggingFaceTeacher(model, transformers.SamProcessor(settings), weights_sha256=weights)
    others.append(changed.fingerprint)
    assert len({own, *others}) == 5


def test_checkpoints_of_video_models_are_read(folders: dict[str, Path], tmp_path: Path) -> None:
    """The hub's SAM 2 repositories hold a ``Sam2VideoModel`` and its processor."""
    image = transformers.Sam2Model.from_pretrained(folders["sam2"])
    sizes = ("attention_feed_forward_hidden", "attention_hidden", "encoder_hidden")
    config = transformers.Sam2VideoConfig(
        vision_config=image.config.vision_config,
        prompt_encoder_config=image.config.prompt_encoder_config.to_dict(),
        mask_decoder_config=image.config.mask_decoder_config.to_dict(),
        image_size=64,
        memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=WIDTH,
        memory_fuser_embed_dim=WIDTH,
        **{f"memory_{part}_size": WIDTH for part in sizes},
    )
    video = transformers.Sam2VideoModel(config)
    video.load_state_dict(image.state_dict(), strict=False)
    video.save_pretrained(tmp_path)
    clips = transformers.Sam2VideoVideoProcessor(size={"height": 64, "width": 64})
    transformers.Sam2VideoProcessor(square("Sam2ImageProcessor", 64), clips).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam2_video"
    answers = []
    for folder in (tmp_path, folders["sam2"]):
        teacher = build_hugging_face_teacher(str(folder))
        answers.append(teacher.decode(teacher.encode(pictures(3, 40, 48)), asked("box"), (40, 48)).logits)
    torch.testing.assert_close(*answers, atol=1e-5, rtol=0)


def test_weights_in_several_files_are_hashed_together(folders: dict[str, Path], tmp_path: Path) -> None:
    model = transformers.Sam2Model.from_pretrained(folders["sam2"])
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    FAMILIES["sam2"][1]().save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    before = build_hugging_face_teacher(str(tmp_path)).weights_sha256
    with torch.no_grad():
        model.no_memory_embedding += 1
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert build_hugging_face_teacher(str(tmp_path)).weights_sha256 != before


def test_sam_hq_masks_come_from_features_that_saw_the_prompt() -> None:
    """Against ``MaskDecoderHQ.predict_masks`` of the authors, written anew from the model's own layers."""
    torch.manual_seed(0)
    model = enlivened(tiny_sam("SamHQ"), FAMILIES["sam_hq"][1]())
    decoder = model.mask_decoder
    teacher = HuggingFaceTeacher(model, FAMILIES["sam_hq"][1](), multimask=False)
    HuggingFaceTeacher(model, teacher.processor)  # a second teacher of the same model must not mend it twice
    embeddings = teacher.encode(pictures(1, 64, 64))
    answer = teacher.decode(embeddings, asked("box", image_index=INDEX * 0), (64, 64))
    with torch.no_grad():
        image, early = embeddings[:, : 16 * 64].reshape(1, 16, 8, 8), embeddings[:, 16 * 64 :].reshape(1, 8, 8, 32)
        sparse, dense = model.prompt_encoder(None, None, BOXES[None], None)
        tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
        tokens = torch.cat([tokens.expand(4, -1, -1), sparse[0]], dim=1)
        position = model.get_image_wide_positional_embeddings().expand(4, -1, -1, -1)
        found, seen = decoder.transformer(tokens[:, None], (image + dense).expand(4, -1, -1, -1), position, None)
        seen = seen[:, 0].transpose(1, 2).reshape(4, 16, 8, 8)
        high = decoder.encoder_conv2(decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(image))))
        early = decoder.compress_vit_norm(decoder.compress_vit_conv1(early.permute(0, 3, 1, 2)))
        high = high + decoder.compress_vit_conv2(decoder.activation(early))
        plain = decoder.activation(
            decoder.upscale_layer_norm(F.conv_transpose2d(seen, *decoder.upscale_conv1.parameters(), stride=2))
        )
        plain = decoder.activation(decoder.upscale_conv2(plain))
        fine = decoder.mask_conv2(decoder.activation(decoder.mask_norm(decoder.mask_conv1(plain)))) + high
        first = decoder.output_hypernetworks_mlps[0](found[:, 0, 1])
        masks = torch.einsum("nc,nchw->nhw", first, plain)
        masks = masks + torch.einsum("nc,nchw->nhw", decoder.hq_mask_mlp(found[:, 0, 5]), fine)
        expected = F.interpolate(masks[:, None], (64, 64), mode="bilinear")[:, 0]
    np.testing.assert_allclose(answer.logits.numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_gpu_answers_as_the_cpu(family: str, folders: dict[str, Path]) -> None:
    """Images and embeddings may lie on either device: the cache hands embeddings over on the images' device."""
    images, prompts = pictures(3, 40, 48), asked("box+points+mask")
    slow, fast = (build_hugging_face_teacher(str(folders[family]), device) for device in ("cpu", "cuda"))
    expected = slow.decode(slow.encode(images), prompts, (40, 48))
    for place in ("cpu", "cuda"):
        answer = fast.decode(fast.encode(images.to(place)).to(place), prompts.to(place), (40, 48))
        assert answer.logits.is_cuda
        torch.testing.assert_close(answer.logits.cpu(), expected.logits, atol=0.05, rtol=0)


class Bright(nn.Module):
    """A student that finds what is bright."""

    def forward(self, image: Tensor) -> Tensor:
        return (image.mean(1, keepdim=True) - 0.5) * 40


def test_a_batch_is_labelled_with_it(teachers: dict[str, HuggingFaceTeacher]) -> None:
    image = torch.full((2, 3, 64, 64), 0.2)
    image[0, :, 10:30, 12:40] = image[0, :, 40:60, 5:20] = 0.9
    labeler = PromptedLabeler(teachers["sam2"], min_score=0.0)
    answer = labeler({"image": image}, Bright())
    assert answer.mask.shape == (2, 1, 64, 64)
    assert [len(p) for p in answer.prompts] == [2, 0]
    assert answer.source["teacher"] == "sam2"
    assert answer.source["teacher_sha256"] == teachers["sam2"].weights_sha256
    assert answer.mask[0].max() > 0
    assert answer.refusal[1] == Refusal(Reason.NO_PROMPT)


def test_wrong_arguments_are_named(folders: dict[str, Path], teachers: dict[str, HuggingFaceTeacher]) -> None:
    with pytest.raises(ConfigError, match=r"dtype: expected 'float32', 'bfloat16' or 'float16'. Got: 'int8'"):
        build_hugging_face_teacher(str(folders["sam"]), dtype="int8")
    with pytest.raises(ConfigError, match=r"max_objects: expected 1 or more. Got: 0"):
        build_hugging_face_teacher(str(folders["sam"]), max_objects=0)
    with pytest.raises(ConfigError, match=r"model: expected one of SamModel, .*Sam3TrackerModel. Got: Linear"):
        HuggingFaceTeacher(nn.Linear(1, 1), teachers["sam"].processor)


def test_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "transformers":
            raise ModuleNotFoundError("No module named 'transformers'")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match=r'not there: pip install "labelmine\[transformers\]"'):
        build_hugging_face_teacher("facebook/sam-vit-base")


def test_models_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"found no folder 'no/such/folder', nor .*hf download ID --local-dir"):
        build_hugging_face_teacher("no/such/folder")
    with pytest.raises(WeightsError, match=r"found no model in it \(no config.json\); expected a folder that save_"):
        build_hugging_face_teacher(str(tmp_path))


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_pickled_weights_are_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["sam"], tmp_path / "pickled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"the model cannot be loaded .*safetensors"):
        build_hugging_face_teacher(str(folder))


def test_broken_folders_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    whole = load_file(folders["sam"] / "model.safetensors")
    short = copied(folders["sam"], tmp_path / "short")
    save_file({k: v for k, v in whole.items() if k != "mask_decoder.iou_token.weight"}, short / "model.safetensors")
    with pytest.raises(WeightsError, match=r"lacks 1 of the model's weights \(mask_decoder.iou_token.weight\)"):
        build_hugging_face_teacher(str(short))
    cut = copied(folders["sam"], tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cut: the model cannot be loaded"):
        build_hugging_face_teacher(str(cut))
    other = copied(folders["sam"], tmp_path / "other")
    save_file({**whole, "mask_decoder.iou_token.weight": torch.zeros(1, 3)}, other / "model.safetensors")
    with pytest.raises(WeightsError, match=r"other: the model cannot be loaded"):
        build_hugging_face_teacher(str(other))
    bare = copied(folders["sam"], tmp_path / "bare")
    for file in bare.glob("*process*.json"):
        file.unlink()
    with pytest.raises(WeightsError, match=r"bare: found no settings of its preprocessing .*processor.save_pretrained"):
        build_hugging_face_teacher(str(bare))


def test_code_of_a_repository_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["sam"], tmp_path / "foreign")
    trace = tmp_path / "trace"
    (folder / "code.py").write_text(f"open({str(trace)!r}, 'w')\n")
    automatic = {"AutoConfig": "code.Config", "AutoModelForMaskGeneration": "code.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "foreign", "auto_map": automatic}))
    with pytest.raises(ConfigError, match=r"expected a model of SamModel, .*, found another"):
        build_hugging_face_teacher(str(folder))
    assert not trace.exists()


def test_other_models_are_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"expected a model of SamModel, .*, found another"):
        build_hugging_face_teacher(str(tmp_path))


def test_gold_may_fit_the_decoder_alone(teacher: HuggingFaceTeacher) -> None:
    asked = Prompts(image_index=INDEX, class_index=torch.zeros_like(INDEX), boxes=BOXES)
    fitted = learnt_a_little(with_own_decoder(teacher), asked, 48)
    embeddings = teacher.encode(pictures(2, 48, 48))
    first, then = (one.decode(embeddings, asked, (48, 48)).logits for one in (teacher, fitted))
    assert (first - then).abs().max() > 0.1
    assert fitted.fingerprint == teacher.fingerprint
