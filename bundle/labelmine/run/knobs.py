"""Knobs of a config as typed, checked values: groups of them are the parts that workflows are made of.

Defaults, units and explanations stand in the configs alone; here are types and ranges. A test holds both together.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from annotated_types import Ge, Gt, Interval, MinLen, MultipleOf
from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, ValidationError

from labelmine.errors import ConfigError, LabelmineError
from labelmine.run.config import resolved, running_parser
from labelmine.run.settings import derive_settings

Fraction = Annotated[float, Interval(gt=0, lt=1)]
Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
ScheduleName = Literal["plateau", "cosine", "one_cycle"]
KeptEpoch = Literal["best", "last", "average"]
ViewSize = Annotated[int, Ge(32), MultipleOf(32)]


def usable_device(device: Any) -> Any:
    """Return a device as it was given.

    Raises:
        ValueError: torch does not know it, or it is a GPU that torch does not find here.
    """
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError("expected cpu, cuda, cuda:1, ... or mps") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a device of this machine, on which torch finds no GPU (cpu works)")
    return device


Device = Annotated[Any, AfterValidator(usable_device)]


class Knobs(BaseModel):
    """Base of all groups.

    Class attributes:
        workflow: Name of the workflow, as its config is named; only of a whole set of knobs.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
    )
    workflow: ClassVar[str] = ""
    _settings: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of_config(cls) -> Self:
        """Read the knobs of the config that is being run.

        Raises:
            ConfigError: All knobs that cannot be used, together.
        """
        parser = running_parser()
        knobs = cls.checked({name: resolved(parser, name) for name in cls.model_fields})
        knobs._settings.update(derive_settings(parser, cls.model_fields))
        return knobs

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Return the knobs with given values.

        Raises:
            ConfigError: All knobs that cannot be used, together.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError("; ".join(_complaint(one) for one in error.errors())) from error

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result of the run, see ``derive_settings``; empty for knobs that no config gave."""
        return self._settings


class RunKnobs(Knobs):
    """What every workflow has."""

    output_dir: str
    seed: NotNegative
    device: Device


class ImageKnobs(Knobs):
    """Which images, and how they are read."""

    dataset_dir: str | None
    mask_pattern: str | None
    window: tuple[float, Positive] | None
    slice_axis: Annotated[int, Interval(ge=-3, le=2)]


class SplitKnobs(ImageKnobs):
    """How gold is split."""

    classes: Any
    val_fraction: Fraction
    test_fraction: Fraction
    split_file: str | None


class GoldKnobs(SplitKnobs):
    """Which gold trains."""

    labeled_fraction: Annotated[float, Interval(gt=0, le=1)]


class EncoderKnobs(RunKnobs):
    """Encoder of a network, and the images it sees."""

    encoder: str
    encoder_weights: str | None
    image_size: ViewSize
    batch_size: Count
    max_epochs: Count
    steps_per_epoch: Count | None
    learning_rate: Positive
    cache_num: NotNegative


class StudentKnobs(EncoderKnobs):
    """A student and its training."""

    pretrained: str | None
    exclusive: bool | None
    small_share: Annotated[float, Interval(ge=0, lt=1)]
    encoder_learning_rate: Positive
    weight_decay: Annotated[float, Ge(0)]
    lr_schedule: ScheduleName
    patience: Count | None
    keep_epoch: KeptEpoch
    average_decay: Annotated[float, Interval(gt=0, lt=1)]
    tracking_uri: str | None


class CacheKnobs(Knobs):
    """A teacher and its embeddings."""

    teacher_weights: str
    embedding_cache: str | None
    cache_gb: Positive


class PromptKnobs(RunKnobs, CacheKnobs):
    """What the student asks a teacher."""

    prompt_kinds: Annotated[list[Literal["points", "box", "mask"]], MinLen(1)]
    n_points: Count
    point_choice: Literal["highest", "centre"]
    n_negative: NotNegative
    tau: Fraction
    margin: Annotated[float, Ge(0)]
    per_component: bool
    min_size: Count
    min_score: Share


class TrustKnobs(PromptKnobs):
    """Which pseudo labels to trust."""

    tta: bool
    gate: bool
    fallback: Literal["self", "none"]
    weighted: bool
    confidence: Annotated[float, Interval(ge=0.5, le=1)]
    min_support: Share
    disagreement: Share
    jitter: Share
    min_iou: Share | None


class RuntimeKnobs(Knobs):
    """Which program computes the student's answers."""

    runtime: Literal["torch", "onnx", "onnx_int8", "openvino"]


class RefinementKnobs(PromptKnobs):
    """A student that answers alone, or asks a teacher."""

    refine: bool


class MaskFormKnobs(RunKnobs):
    """In which forms masks are written."""

    masks_format: Literal["png", "nifti", "dicom_seg"] | None
    fractional: bool
    rt_structures: bool
    segments: dict[str, dict[str, list[Any]]]
    deidentify: bool


def _complaint(error: Any) -> str:
    """Return what pydantic says of a value in the words of all our errors."""
    knob = "::".join(str(part) for part in error["loc"])
    if error["type"] == "value_error":
        own = error["ctx"]["error"]  # an error of ours says all of it
        return str(own) if isinstance(own, LabelmineError) else f"{knob}: {own}. Got: {error['input']!r}"
    wanted = error["msg"].removeprefix("Input should be ")
    if wanted == error["msg"]:
        return f"{knob}: {wanted[:1].lower()}{wanted[1:]}. Got: {error['input']!r}"
    wanted = f"a number {wanted}" if wanted.startswith(("less", "greater")) else wanted
    return f"{knob}: expected {wanted}. Got: {error['input']!r}"


__all__ = [
    "CacheKnobs",
    "Count",
    "Device",
    "EncoderKnobs",
    "Fraction",
    "GoldKnobs",
    "ImageKnobs",
    "KeptEpoch",
    "Knobs",
    "MaskFormKnobs",
    "NotNegative",
    "Positive",
    "PromptKnobs",
    "RefinementKnobs",
    "RunKnobs",
    "RuntimeKnobs",
    "ScheduleName",
    "Share",
    "SplitKnobs",
    "StudentKnobs",
    "TrustKnobs",
    "ViewSize",
]
