"""SAM as a teacher gives what ``SamPredictor`` gives; MedSAM what its published preprocessing gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch import Tensor

from labelmine.errors import ConfigError, WeightsError
from labelmine.prompts import Prompts
from labelmine.teachers import SamTeacher, Teacher, TeacherMasks, build_sam_teacher
from labelmine.teachers.fitted import load_fitted, save_decoder, with_own_decoder
from makers import learnt_a_little
from teacher_makers import SAM_SIDE as SIDE
from teacher_makers import small_sam

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def sam() -> Sam:
    return small_sam()


def picture(seed: int, height: int, width: int) -> Picture:
    """Smooth colour, edges and grain, as photographs have them."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (8, 10, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(smooth.filter(ImageFilter.GaussianBlur(2)), np.float64) + rng.normal(0, 8, (height, width, 3))
    rows, columns = np.mgrid[:height, :width]
    pixels[(rows - height / 3) ** 2 + (columns - width / 2) ** 2 < (height / 5) ** 2] += 60
    return pixels.clip(0, 255).astype(np.uint8)


def as_batch(*pictures: Picture) -> Tensor:
    return torch.stack([torch.from_numpy(p).permute(2, 0, 1).float() / 255 for p in pictures])


def prompts_of(index: list[int], **parts: Any) -> Prompts:
    where = torch.tensor(index)
    return Prompts(
        image_index=where,
        class_index=torch.zeros_like(where),
        **{k: torch.tensor(v, dtype=torch.float32) if isinstance(v, list) else v for k, v in parts.items()},
    )


def predicted(sam: Sam, image: Picture, multimask: bool, **prompt: Any) -> tuple[np.ndarray, float]:
    """The answer of segment-anything's own predictor: its best mask's logits, and the predicted IoU."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, scores, _ = predictor.predict(multimask_output=multimask, return_logits=True, **prompt)
    return masks[scores.argmax()], float(scores.max())


BOXES = [[20.0, 30, 120, 100], [5, 5, 60, 140], [90.5, 40.25, 180, 139]]
POINTS = [[[60.0, 50], [10, 12]], [[30, 100], [100, 20]], [[120, 70], [130, 90]]]
LABELS = [[1.0, 0], [1, 1], [1, 0]]


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("size", [(150, 200), (200, 150), (300, 280)])
@pytest.mark.parametrize("kinds", ["box", "points", "box+points"])
def test_answers_are_sam_predictors(sam: Sam, kinds: str, size: tuple[int, int], multimask: bool) -> None:
    """Three objects in two images, in one call, against one call of the predictor for each."""
    pictures = [picture(1, *size), picture(2, *size)]
    parts: dict[str, Any] = {}
    if "box" in kinds:
        parts["boxes"] = BOXES
    if "points" in kinds:
        parts |= {"points": POINTS, "point_labels": LABELS}
    prompts = prompts_of([1, 0, 1], **parts)
    teacher = SamTeacher(sam, multimask=multimask)
    answer = teacher.decode(teacher.encode(as_batch(*pictures)), prompts, size)
    assert answer.logits.shape == (3, *size)
    assert answer.logits.std() > 0.3
    assert (answer.logits[0] - answer.logits[2]).abs().max() > 0.1
    for n, image in enumerate((1, 0, 1)):
        asked: dict[str, Any] = {}
        if "box" in kinds:
            asked["box"] = np.array(BOXES[n])
        if "points" in kinds:
            asked |= {"point_coords": np.array(POINTS[n]), "point_labels": np.array(LABELS[n])}
        mask, iou = predicted(sam, pictures[image], multimask, **asked)
        np.testing.assert_allclose(answer.logits[n].numpy(), mask, atol=1e-4)
        assert answer.predicted_iou[n].item() == pytest.approx(np.clip(iou, 0, 1), abs=1e-4)


def test_mask_prompts_are_sam_predictors_and_fit_from_any_resolution(sam: Sam) -> None:
    image, size = picture(3, 180, 180), (180, 180)
    teacher = SamTeacher(sam)
    logits = torch.linspace(-6, 6, 64).expand(1, 1, 64, 64)  # 64: four times the grid of 16
    mask, _ = predicted(sam, image, True, box=np.array(BOXES[0]), mask_input=logits[0].numpy())
    embeddings = teacher.encode(as_batch(image))
    answer = teacher.decode(embeddings, prompts_of([0], boxes=BOXES[:1], masks=logits), size)
    np.testing.assert_allclose(answer.logits[0].numpy(), mask, atol=1e-4)
    finer = torch.nn.functional.interpolate(logits, (256, 256), mode="bilinear")
    other = teacher.decode(embeddings, prompts_of([0], boxes=BOXES[:1], masks=finer), size)
    np.testing.assert_allclose(other.logits.numpy(), answer.logits.numpy(), atol=0.05)
    alone = teacher.decode(embeddings, prompts_of([0], masks=logits), size)
    assert alone.logits.shape == (1, *size)


def test_teacher_is_frozen_and_follows_the_protocol(sam: Sam) -> None:
    teacher = SamTeacher(sam, name="tiny", weights_sha256="0")
    assert isinstance(teacher, Teacher)
    assert not any(p.requires_grad for p in teacher.parameters())
    embeddings = teacher.encode(torch.rand(2, 3, 64, 64, requires_grad=True))
    assert embeddings.shape == (2, 32, 16, 16)
    assert not embeddings.requires_grad


def test_precision_is_part_of_the_fingerprint_and_weights_stay_segment_anythings(sam: Sam) -> None:
    exact, rounded = SamTeacher(sam, weights_sha256="0"), SamTeacher(sam, weights_sha256="0", precision="bfloat16")
    assert exact.fingerprint == f"segment-anything-sam-{SIDE}-float32-0"
    assert rounded.fingerprint == f"segment-anything-sam-{SIDE}-bfloat16-0"
    assert set(exact.state_dict()) == {f"sam.{name}" for name in sam.state_dict()}
    images = torch.rand(3, 3, 64, 64)
    assert torch.equal(exact.encode(images)[1:2], exact.encode(images[1:2]))  # an image's embedding is its own
    assert 1e-4 < (exact.encode(images) - rounded.encode(images)).abs().max() < 0.1


def medsam_input(image: Picture, side: int) -> np.ndarray:
    """What ``MedSAM_Inference.py`` feeds its encoder, written anew: (1, 3, side, side) in [0, 1].

    It squeezes by ``skimage.transform.resize(order=3, preserve_range=True, anti_aliasing=True)``: a Gaussian of
    sigma ``(factor - 1) / 2`` where it shrinks, then cubic splines at half-pixel positions, clipped to the
    input's range.
    """
    squeezed = np.empty((side, side, 3))
    for c in range(3):
        channel = image[..., c].astype(np.float64)
        factors = [n / side for n in channel.shape]
        sigma = [max(0, (f - 1) / 2) for f in factors]
        blurred = ndimage.gaussian_filter(channel, sigma, mode="mirror") if max(sigma) else channel
        zoomed = ndimage.zoom(blurred, [1 / f for f in factors], order=3, mode="mirror", grid_mode=True)
        squeezed[..., c] = zoomed.clip(image.min(), image.max())
    eight_bit = squeezed.astype(np.uint8).astype(np.float64)
    scaled = (eight_bit - eight_bit.min()) / max(eight_bit.max() - eight_bit.min(), 1e-8)
    return scaled.transpose(2, 0, 1)[None]


@pytest.mark.parametrize("size", [(150, 200), (300, 120), (256, 256)])
def test_medsam_input_is_its_published_preprocessing(sam: Sam, size: tuple[int, int]) -> None:
    image = picture(4, *size)
    own = SamTeacher(sam, "medsam").preprocess(as_batch(image)).numpy()
    expected = medsam_input(image, SIDE)
    assert own.min() == 0
    assert own.max() == 1
    # One grey level: the truncation to 8 bits may fall either way at the last bit of a float.
    assert np.abs(own - expected).max() <= 1.01 / (image.max() - image.min())
    assert (np.abs(own - expected) > 1e-6).mean() < 1e-3


def test_medsam_scales_each_image_by_itself(sam: Sam) -> None:
    dark = (picture(4, 100, 120) // 4).astype(np.uint8)
    bright = picture(5, 100, 120)
    both = SamTeacher(sam, "medsam").preprocess(as_batch(dark, bright))
    assert both.amin((1, 2, 3)).tolist() == [0, 0]
    assert both.amax((1, 2, 3)).tolist() == [1, 1]
    flat = SamTeacher(sam, "medsam").preprocess(torch.full((1, 3, 50, 60), 0.5))
    assert (flat == 0).all()


def test_medsam_answers_boxes_with_its_single_mask(sam: Sam) -> None:
    """As ``MedSAM_Inference.py``: the box in units of the squeezed image, the first mask, back to (H, W)."""
    image, (height, width) = picture(6, 150, 220), (150, 220)
    teacher = SamTeacher(sam, "medsam")
    answer = teacher.decode(teacher.encode(as_batch(image)), prompts_of([0, 0], boxes=BOXES[:2]), (height, width))
    with torch.no_grad():
        embedding = sam.image_encoder(torch.from_numpy(medsam_input(image, SIDE)).float())
        for n, box in enumerate(BOXES[:2]):
            squeezed = torch.tensor([box]) / torch.tensor([width, height, width, height]) * SIDE
            sparse, dense = sam.prompt_encoder(points=None, boxes=squeezed[:, None], masks=None)
            low, iou = sam.mask_decoder(
                image_embeddings=embedding,
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            resized = torch.nn.functional.interpolate(low.sigmoid(), (height, width), mode="bilinear")[0, 0]
            np.testing.assert_allclose(answer.logits[n].sigmoid().numpy(), resized.numpy(), atol=1e-4)
            assert ((answer.logits[n] > 0) != (resized > 0.5)).float().mean() < 1e-3
            assert answer.predicted_iou[n].item() == pytest.approx(float(iou.clamp(0, 1)), abs=1e-4)


def test_predicted_iou_is_clipped(sam: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    low, iou = torch.tensor([2.0, 3.0])[:, None, None].expand(-1, 64, 64), torch.tensor([1.7, -0.2])
    monkeypatch.setattr("labelmine.teachers.sam.decode_prompts", lambda *_: (low, iou))
    answer = SamTeacher(sam).decode(torch.zeros(1), prompts_of([0, 0], boxes=BOXES[:2]), (40, 50))
    assert isinstance(answer, TeacherMasks)
    assert answer.logits[:, 0, 0].tolist() == pytest.approx([2, 3])
    assert answer.predicted_iou.tolist() == [1, 0]


def test_unknown_preprocessing_is_refused(sam: Sam) -> None:
    with pytest.raises(ConfigError, match=r"preprocessing: expected 'sam' or 'medsam'. Got: 'sam2'"):
        SamTeacher(sam, "sam2")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "multimask"), [("medsam_vit_b.pth", False), ("sam_vit_b.pth", True)])
def test_builder_reads_size_and_preprocessing_from_the_name(
    name: str, multimask: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelmine.teachers.sam.sam_model_registry", {"vit_b": lambda checkpoint: small_sam(1)})
    torch.save(small_sam(2).state_dict(), tmp_path / name)
    teacher = build_sam_teacher(str(tmp_path / name))
    assert teacher.preprocessing == name.split("_")[0]
    assert teacher.multimask == multimask
    assert teacher.name == name.removesuffix(".pth")
    assert len(teacher.weights_sha256) == 64
    own, given = teacher.sam.state_dict(), small_sam(2).state_dict()
    assert all(torch.equal(own[k], given[k]) for k in given)


def test_builder_names_files_it_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelmine.teachers.sam.sam_model_registry", {"vit_b": lambda checkpoint: small_sam(1)})
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.pth")
    with pytest.raises(ConfigError, match=r"mine.pth: its size is not in its name. Set model_type to vit_b"):
        build_sam_teacher(str(tmp_path / "mine.pth"))
    with pytest.raises(WeightsError, match=r"mine.pth does not hold the weights of a SAM vit_b model \(Missing key"):
        build_sam_teacher(str(tmp_path / "mine.pth"), model_type="vit_b")
    with pytest.raises(WeightsError, match=r"nowhere.pth"):
        build_sam_teacher(str(tmp_path / "nowhere.pth"))


@pytest.mark.parametrize("preprocessing", ["sam", "medsam"])
def test_gold_may_fit_the_decoder_alone(preprocessing: Any, tmp_path: Path) -> None:
    teacher = SamTeacher(small_sam(), preprocessing, weights_sha256="abc")
    boxes = torch.tensor([[4.0, 4, 30, 30], [10, 20, 50, 60]])
    asked = Prompts(image_index=torch.tensor([0, 1]), class_index=torch.tensor([0, 0]), boxes=boxes)
    fitted = learnt_a_little(with_own_decoder(teacher), asked)
    again = load_fitted(teacher, save_decoder(fitted, tmp_path / "decoder.safetensors"))
    embeddings = teacher.encode(torch.rand(2, 3, 64, 64))
    first, then = (one.decode(embeddings, asked, (64, 64)).logits for one in (teacher, again))
    assert (first - then).abs().max() > 0.1
    assert again.fingerprint == teacher.fingerprint
