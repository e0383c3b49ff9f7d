"""The knobs of ``configs/study.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from labelmine.run.knobs import (
    Count,
    Device,
    Fraction,
    ImageKnobs,
    KeptEpoch,
    NotNegative,
    Positive,
    ScheduleName,
    ViewSize,
)


class StudyKnobs(ImageKnobs):
    """All of them; what is null is the workflow's own."""

    workflow: ClassVar[str] = "study"

    output_dir: str
    device: Device
    external_dir: list[str] | str
    classes: Any
    methods: list[str]
    fractions: list[Annotated[float, Gt(0)]]
    baseline: str
    seeds: list[NotNegative]
    val_share: Fraction
    test_fraction: Fraction
    test_seed: NotNegative
    overlays: list[str]
    encoder: str | None
    encoder_weights: str | None
    image_size: ViewSize | None
    batch_size: Count
    max_epochs: Count
    steps_per_epoch: Count | None
    learning_rate: Positive | None
    lr_schedule: ScheduleName | None
    keep_epoch: KeptEpoch | None
    teacher_weights: str
    simclr: bool
    simclr_knobs: dict[str, Any]
    knobs: dict[str, Any]
    cell: Annotated[int, Ge(-1)] | None
    gpus: list[int]
    workers: Count
    threads: Count
    catalogue: dict[str, dict[str, Any]]
