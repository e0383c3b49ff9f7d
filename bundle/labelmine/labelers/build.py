"""The labelers that most runs use, from their knobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelmine.labelers.base import Labeler
from labelmine.labelers.gated import GatedLabeler
from labelmine.labelers.prompted import PromptedLabeler
from labelmine.prompts import PromptGenerator
from labelmine.run.knobs import PromptKnobs, TrustKnobs
from labelmine.teachers import Teacher, build_cached_teacher


def build_prompted_labeler(teacher: Teacher, knobs: PromptKnobs, exclusive: bool) -> PromptedLabeler:
    """Return a labeler whose teacher encodes each image once.

    Args:
        teacher: Is asked.
        knobs: Of the workflow; those that say which labels to trust count where it has them.
        exclusive: Whether classes exclude each other.
    """
    trust: dict[str, Any] = {}
    if isinstance(knobs, TrustKnobs):
        trust = knobs.model_dump(include={"weighted", "jitter", "min_iou"})
    return PromptedLabeler(
        build_cached_teacher(teacher, knobs.embedding_cache, knobs.cache_gb),
        PromptGenerator(
            kinds=knobs.prompt_kinds,
            n_points=knobs.n_points,
            point_choice=knobs.point_choice,
            n_negative=knobs.n_negative,
            tau=knobs.tau,
            margin=knobs.margin,
            per_component=knobs.per_component,
            min_size=knobs.min_size,
            seed=knobs.seed,
        ),
        exclusive,
        knobs.min_score,
        **trust,
    )


def build_trusted_labeler(labeler: Labeler, verdict: Path | None, knobs: TrustKnobs, exclusive: bool) -> Labeler:
    """Return who labels in the end.

    Args:
        labeler: Labels, unless the verdict finds that the student does it better.
        verdict: The gate's file; None: no gate, the labeler is trusted.
        knobs: Of the workflow.
        exclusive: Whether classes exclude each other.
    """
    if verdict is None:
        return labeler
    return GatedLabeler(
        labeler,
        verdict,
        exclusive,
        min_score=knobs.min_score,
        weighted=knobs.weighted,
        fallback=knobs.fallback,
        confidence=knobs.confidence,
        min_support=knobs.min_support,
        disagreement=knobs.disagreement,
    )
