"""The knobs of ``configs/synthesize.yaml``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from labelmine.run.knobs import Count, GoldKnobs, NotNegative, Positive, Share
from labelmine.training.task import TaskKnobs


class GeneratorKnobs(GoldKnobs, TaskKnobs):
    """The generator and its training."""

    content: Literal["pairs", "images_on_masks", "images"]
    generator_file: str | None
    prediction: Literal["flow", "v_prediction"]
    clusters: NotNegative
    generator_size: Count
    channels: list[Count]
    attention: list[bool]
    res_blocks: Count
    generator_epochs: Count
    generator_steps: Count
    generator_batch_size: Count
    accumulation_steps: Count
    generator_learning_rate: Positive
    generator_ema: Annotated[float, Interval(ge=0, lt=1)]
    bfloat16: bool
    grid_every: NotNegative


class SynthesizeKnobs(GeneratorKnobs):
    """All of them."""

    workflow: ClassVar[str] = "synthesize"

    count: Count
    sampling_steps: Count
    inpaint: bool
    resamplings: Count
    eta: Annotated[float, Ge(0)]
    hole_margin: Annotated[float, Ge(0)]
    style: Share
    style_factor: Count
    match_colours: bool
    mask_threshold: Annotated[float, Interval(ge=-1, le=1)]
    opening: NotNegative
    min_agreement: Share
    ask_teacher: bool
    copy_quantile: Share
    feature_network: str
    teacher_weights: str
    gold_share: Share
