"""SAM and MedSAM as teachers, through segment-anything's own model and preprocessing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, Sam
from segment_anything.utils.transforms import ResizeLongestSide
from skimage.transform import resize
from torch import Tensor, nn

from labelmine.errors import ConfigError, WeightsError
from labelmine.prompts import Prompts
from labelmine.teachers.accelerated_encoder import AcceleratedEncoder, Precision
from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import frozen
from labelmine.teachers.decoding import decode_prompts, enlarged, scaled
from labelmine.teachers.fingerprint import weights_digest
from labelmine.weights import load_state_dict_safely, sha256_of, weights_path

ModelType = Literal["vit_b", "vit_l", "vit_h"]
Preprocessing = Literal["sam", "medsam"]


class SamTeacher(nn.Module, Teacher):
    """A ``segment_anything`` model that answers many images and many objects in one call.

    Args:
        sam: The model.
        preprocessing: ``sam``: longest side to 1024, SAM's mean and standard deviation, zero padding, exactly as
            ``SamPredictor``. ``medsam``: squeezed to 1024 x 1024, min-max scaled to [0, 1] (Ma et al. 2024); ask it by
            box.
        multimask: Whether to let SAM propose three masks and take the one of highest predicted IoU. MedSAM was trained
            for its single mask: None takes three with ``sam`` and one with ``medsam``.
        precision: Of the image encoder. ``auto``: bfloat16 on a GPU, float32 on a CPU. Part of the fingerprint.
        compile: Whether ``torch.compile`` compiles the image encoder; ``auto``: on a GPU.
        name: Name for manifests.
        weights_sha256: Hash of the weights file.

    Raises:
        ConfigError: When ``preprocessing``, ``precision`` or ``compile`` is unknown.
    """

    multimask: bool

    def __init__(
        self,
        sam: Sam,
        preprocessing: Preprocessing = "sam",
        multimask: bool | None = None,
        name: str = "sam",
        weights_sha256: str = "",
        precision: Precision = "auto",
        compile: bool | Literal["auto"] = "auto",
    ) -> None:
        """Keep the model frozen."""
        super().__init__()
        if preprocessing not in ("sam", "medsam"):
            raise ConfigError(f"preprocessing: expected 'sam' or 'medsam'. Got: '{preprocessing}'")
        self.sam = frozen(sam)
        self.preprocessing = preprocessing
        self.multimask = preprocessing == "sam" if multimask is None else multimask
        self.name = name
        self.weights_sha256 = weights_sha256
        self.image_size = int(sam.image_encoder.img_size)
        self.resize = ResizeLongestSide(self.image_size)
        self.image_encoder = AcceleratedEncoder(sam.image_encoder, precision, compile)

    @property
    def fingerprint(self) -> str:
        """Model, preprocessing, input size, precision and weights; see ``Teacher``."""
        weights = weights_digest(self.sam, self.weights_sha256)
        precision = self.image_encoder.precision_on(self.sam.device)
        return f"segment-anything-{self.preprocessing}-{self.sam.image_encoder.img_size}-{precision}-{weights}"

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return (B, 256, 64, 64) float32 embeddings; see ``Teacher.encode``."""
        # On a CPU a batch is no faster than its images one by one, and takes more memory.
        parts = torch.split(images, 1 if images.device.type == "cpu" else max(len(images), 1))
        return torch.cat([self.image_encoder(self.preprocess(part)) for part in parts])

    @property
    def decoder(self) -> MaskDecoder:
        """The mask decoder."""
        return self.sam.mask_decoder

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        """Answer all prompts at ``image_size``; see ``Teacher.decode``."""
        side = self.sam.image_encoder.img_size
        height, width = self._extent(image_size)
        asked = scaled(prompts, (width / image_size[1], height / image_size[0]))
        logits, iou = decode_prompts(self.sam.prompt_encoder, self.sam.mask_decoder, embeddings, asked, self.multimask)
        if self.preprocessing == "medsam":  # MedSAM's script resizes probabilities, SamPredictor logits
            logits = F.interpolate(logits.sigmoid()[:, None], image_size, mode="bilinear", align_corners=False)
            logits = logits[:, 0].logit(eps=1e-6)
        else:
            logits = enlarged(logits, side, (height, width), image_size)
        return TeacherMasks(logits, iou.clamp(0, 1))

    def preprocess(self, images: Tensor) -> Tensor:
        """Turn (B, 3, H, W) in [0, 1] into the encoder's input (B, 3, 1024, 1024)."""
        side = self.sam.image_encoder.img_size
        # SamPredictor resizes 8-bit pictures with PIL, MedSAM's inference script with scikit-image: the same here, so
        # that the answers are the same.
        pictures = (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        if self.preprocessing == "medsam":
            resized = np.stack([_squeezed(picture, side) for picture in pictures])
        else:
            resized = np.stack([self.resize.apply_image(picture) for picture in pictures])
        x = torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device)
        if self.preprocessing == "medsam":
            low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
            return (x - low).float() / (high - low).float().clamp(min=1e-8)
        prepared: Tensor = self.sam.preprocess(x)
        return prepared

    def _extent(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (h, w) that an image fills in the encoder's square input."""
        side = self.sam.image_encoder.img_size
        if self.preprocessing == "medsam":
            return side, side
        height, width = ResizeLongestSide.get_preprocess_shape(size[0], size[1], side)
        return height, width


def _squeezed(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to a square as ``MedSAM_Inference.py`` does."""
    squeezed: NDArray[np.uint8] = resize(
        picture, (side, side), order=3, preserve_range=True, anti_aliasing=True
    ).astype(np.uint8)
    return squeezed


def build_sam_teacher(
    weights: str = "sam_vit_b",
    model_type: ModelType | None = None,
    preprocessing: Preprocessing | None = None,
    multimask: bool | None = None,
    device: str | torch.device = "cpu",
    precision: Precision = "auto",
    compile: bool | Literal["auto"] = "auto",
) -> SamTeacher:
    """Return a frozen SAM or MedSAM teacher.

    Args:
        weights: ``sam_vit_b``, ``sam_vit_l``, ``sam_vit_h`` or ``medsam_vit_b`` (downloaded once, hash checked), or the
            path of such a checkpoint.
        model_type: Size of the image encoder; None reads it from the name.
        preprocessing: None: ``medsam`` if the name says so, else ``sam``.
        multimask: See ``SamTeacher``.
        device: Where to put it.
        precision: See ``SamTeacher``.
        compile: See ``SamTeacher``.

    Raises:
        ConfigError: When the size cannot be told from the name.
        WeightsError: When the file is missing, unsafe, or does not fit the model.
    """
    path = weights_path(weights)
    kind = model_type or next((k for k in ("vit_b", "vit_l", "vit_h") if k in path.name), None)
    if kind is None:
        raise ConfigError(f"{path.name}: its size is not in its name. Set model_type to vit_b, vit_l or vit_h.")
    state, _ = load_state_dict_safely(path)
    sam = sam_model_registry[kind](checkpoint=None)
    try:
        sam.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"{path.name} does not hold the weights of a SAM {kind} model ({first[:200]}).") from error
    chosen = preprocessing or ("medsam" if "medsam" in path.name.lower() else "sam")
    return SamTeacher(sam, chosen, multimask, path.stem, sha256_of(path), precision, compile).to(device)
