"""Models of the SAM families in Hugging Face transformers as teachers (extra ``labelmine[transformers]``)."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.prompts import Prompts
from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import frozen
from labelmine.teachers.decoding import scaled
from labelmine.teachers.fingerprint import weights_digest
from labelmine.teachers.hugging_face_weights import PROCESSORS, load_model
from labelmine.teachers.sam_hq import mend_sam_hq


class Frame(NamedTuple):
    """How a family's processor places a picture in the model's input.

    Attributes:
        scale: Factors from the picture's (x, y) to the input's pixels.
        undo: What ``post_process_masks`` needs to find the way back.
    """

    scale: tuple[float, float]
    undo: dict[str, Any]


class HuggingFaceTeacher(nn.Module, Teacher):
    """A promptable model of transformers that answers many images and many objects in one call.

    Preprocessing, scaling of prompts and the way back to the image are the code of the model's own processor, so the
    answers are the library's (SAM-HQ's after ``mend_sam_hq``). The feature maps of families that have several (SAM-HQ,
    SAM 2, EdgeTAM, SAM 3's tracker) are packed into one flat row per image.

    Args:
        model: ``SamModel``, ``SamHQModel``, ``Sam2Model``, ``EdgeTamModel`` or ``Sam3TrackerModel``.
        processor: Its processor.
        multimask: Whether to let the model propose three masks and take the one of highest predicted IoU.
        max_objects: Objects decoded at once; bounds the memory.
        name: Name for manifests.
        weights_sha256: Hash of the weights file.

    Raises:
        ConfigError: When the model is of another family or ``max_objects`` is below 1.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        multimask: bool = True,
        max_objects: int = 64,
        name: str = "hugging_face",
        weights_sha256: str = "",
    ) -> None:
        """Keep the model frozen."""
        super().__init__()
        self.family = type(model).__name__
        if self.family not in PROCESSORS:
            raise ConfigError(f"model: expected one of {', '.join(PROCESSORS)}. Got: {self.family}")
        if max_objects < 1:
            raise ConfigError(f"max_objects: expected 1 or more. Got: {max_objects}")
        self.model = model
        self.image_size = int(model.prompt_encoder.input_image_size)
        if self.family == "SamHQModel":
            mend_sam_hq(model)
        self.processor = processor
        self.multimask = multimask
        self.max_objects = max_objects
        self.name = name
        self.weights_sha256 = weights_sha256
        self._frames: dict[tuple[int, int], Frame] = {}
        frozen(self)

    @property
    def fingerprint(self) -> str:
        """Model, preprocessing (its settings), input size, precision and weights; see ``Teacher``."""
        settings = hashlib.sha256(self.processor.image_processor.to_json_string().encode()).hexdigest()[:16]
        precision = str(self.model.dtype).removeprefix("torch.")
        side = self.model.prompt_encoder.input_image_size
        weights = weights_digest(self.model, self.weights_sha256)
        return f"transformers-{self.family}-{settings}-{side}-{precision}-{weights}"

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return (B, N) embeddings, all levels of an image in one row; see ``Teacher.encode``.

        N is 1.0 million for SAM, 4.2 million for SAM-HQ (ViT-B) and SAM 2 at 1024 pixels.
        """
        pictures = (images * 255).round().clamp(0, 255).to(torch.uint8)
        prepared = self.processor.image_processor(
            list(pictures), input_data_format="channels_first", return_tensors="pt"
        )
        pixels = prepared["pixel_values"].to(self.model.device, self.model.dtype)
        levels = _levels(self.model.get_image_embeddings(pixels))
        return torch.cat([level.flatten(1) for level in levels], dim=1)

    @property
    def decoder(self) -> nn.Module:
        """The mask decoder."""
        decoder: nn.Module = self.model.mask_decoder
        return decoder

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        """Answer all prompts at ``image_size``; see ``Teacher.decode``.

        Padding points keep their label -1: to these models it means what it means to segment-anything. (Their -10,
        with which their processors fill ragged lists, puts a zero vector that no model saw in training.)
        """
        frame = self._frame(image_size)
        asked = scaled(prompts, frame.scale).to(self.model.device)
        logits = torch.empty(len(asked), *image_size, device=self.model.device)
        iou = torch.empty(len(asked), device=self.model.device)
        for start in range(0, len(asked), self.max_objects):
            part = slice(start, start + self.max_objects)
            logits[part], iou[part] = self._answer(embeddings, asked.selected(part), frame)
        return TeacherMasks(logits, iou.clamp(0, 1))

    def _answer(self, embeddings: Tensor, asked: Prompts, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return the best masks' logits (n, H, W) and predicted IoU (n,) of n objects, each a row of its own."""
        own = embeddings[asked.image_index.to(embeddings.device)].to(self.model.device, self.model.dtype)
        output = self.model(**self._unpacked(own), **self._prompt_inputs(asked), multimask_output=self.multimask)
        iou = output.iou_scores[:, 0].float()
        best = iou.argmax(1)
        rows = torch.arange(len(best), device=best.device)
        chosen = output.pred_masks[:, 0].float()[rows, best]
        logits = self.processor.post_process_masks([chosen[None]], **frame.undo, binarize=False)[0]
        return logits[0], iou[rows, best]

    def _frame(self, size: tuple[int, int]) -> Frame:
        """Ask the processor, once per size, where it puts the box around a whole picture."""
        if size not in self._frames:
            height, width = size
            blank = torch.zeros(3, height, width, dtype=torch.uint8)
            made = self.processor(
                images=[blank],
                input_boxes=[[[0.0, 0.0, float(width), float(height)]]],
                input_data_format="channels_first",
                return_tensors="pt",
            )
            right, bottom = made["input_boxes"][0, 0, 2:].tolist()
            undo = {key: made[key].tolist() for key in ("original_sizes", "reshaped_input_sizes") if key in made}
            self._frames[size] = Frame((right / width, bottom / height), undo)
        return self._frames[size]

    def _prompt_inputs(self, asked: Prompts) -> dict[str, Tensor]:
        """Return the model's arguments: every object is a row of the batch with one set of prompts."""
        inputs: dict[str, Tensor] = {}
        if asked.boxes is not None:
            inputs["input_boxes"] = asked.boxes[:, None]
        if asked.points is not None and asked.point_labels is not None:
            inputs["input_points"] = asked.points[:, None]
            inputs["input_labels"] = asked.point_labels[:, None].long()
        if asked.masks is not None:
            height, width = self.model.prompt_encoder.image_embedding_size
            # The mask encoder shrinks four times; antialiased, as SAM 2 shrinks masks itself.
            masks = F.interpolate(asked.masks, (4 * height, 4 * width), mode="bilinear", antialias=True)
            inputs["input_masks"] = masks.to(self.model.dtype)
        return inputs

    def _unpacked(self, rows: Tensor) -> dict[str, Any]:
        """Return the model's embedding arguments from packed rows."""
        shapes = self._level_shapes()
        parts = torch.split_with_sizes(rows, [shape.numel() for shape in shapes], dim=1)
        levels = [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
        if self.family == "SamHQModel":
            return {"image_embeddings": levels[0], "intermediate_embeddings": levels[1:]}
        return {"image_embeddings": levels[0] if self.family == "SamModel" else levels}

    def _level_shapes(self) -> list[torch.Size]:
        encoder, decoder = self.model.prompt_encoder, self.model.mask_decoder
        grid = encoder.image_embedding_size
        if self.family == "SamModel":
            return [torch.Size((encoder.hidden_size, *grid))]
        if self.family == "SamHQModel":
            width = self.model.config.vision_config.hidden_size
            return [torch.Size((encoder.hidden_size, *grid)), torch.Size((*grid, width))]
        channels = (decoder.conv_s0.out_channels, decoder.conv_s1.out_channels, encoder.hidden_size)
        sizes = self.model.backbone_feature_sizes
        return [torch.Size((c, *size)) for c, size in zip(channels, sizes, strict=True)]


def _levels(found: Any) -> list[Tensor]:
    """Return what ``get_image_embeddings`` gave as a list: SAM a tensor, SAM-HQ a pair, the others a list."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, tuple):  # SAM-HQ's decoder reads only the first of its intermediate embeddings
        return [found[0], found[1][0]]
    return list(found)


def build_hugging_face_teacher(
    weights: str = "facebook/sam-vit-base",
    device: str | torch.device = "cpu",
    multimask: bool | None = None,
    dtype: str | torch.dtype = "float32",
    max_objects: int = 64,
) -> HuggingFaceTeacher:
    """Return a frozen teacher from a folder or from the Hugging Face hub.

    Args:
        weights: A folder that ``save_pretrained`` wrote (model and processor), or a hub id such as
            ``facebook/sam-vit-base`` or ``facebook/sam2.1-hiera-tiny`` (fetched once). Only safetensors are read, and
            no code of the repository is run.
        device: Where to put it.
        multimask: See ``HuggingFaceTeacher``. MedSAM was trained for its single mask: None takes one if the weights
            are called so, else three.
        dtype: Precision of model and embeddings: ``float32``, ``bfloat16`` or ``float16``.
        max_objects: Objects decoded at once; bounds the memory.

    Raises:
        ConfigError: When transformers is missing, or the model's family or the dtype is not known.
        WeightsError: When the weights are missing, cannot be reached, or do not fit the model.
    """
    precision = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype, None)
    if precision not in (torch.float32, torch.bfloat16, torch.float16):
        raise ConfigError(f"dtype: expected 'float32', 'bfloat16' or 'float16'. Got: '{dtype}'")
    loaded = load_model(weights)
    chosen = "medsam" not in loaded.name.lower() if multimask is None else multimask
    model = loaded.model.to(device, precision)
    return HuggingFaceTeacher(model, loaded.processor, chosen, max_objects, loaded.name, loaded.sha256)
