"""Why a label is not used: stable keys to count and decide by, each with its sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The key of a refusal; ``sentence`` says the same to people."""

    sentence: str

    def __new__(cls, key: str, sentence: str) -> Reason:
        """Make a member of its key and its sentence."""
        member = str.__new__(cls, key)
        member._value_ = key
        member.sentence = sentence
        return member

    LOW_SCORE = "low_score", "the score is too low"
    NOTHING_FOUND = "nothing_found", "nothing was found"
    NO_PROMPT = "no_prompt", "no prompt: the student found nothing"
    NO_SURE_OBJECT = "no_sure_object", "the teacher trusts none of its answers"
    EMPTY_ANSWER = "empty_answer", "the teacher answered with an empty mask"
    UNSURE = "unsure", "the student found nothing or is unsure"
    NO_LIKENESS = "no_likeness", "no pixel looks like a gold object"
    NO_MASK = "no_mask", "no recorded mask"
    EMPTY_MASK = "empty_mask", "the recorded mask is empty"
    DAMAGED_MASK = "damaged_mask", "the recorded mask cannot be read"
    ONE_CLASS = "one_class", "one class fills too much of the recorded mask"
    NO_SCORE = "no_score", "no recorded score"
    OTHER = "other", "another reason"

    @classmethod
    def of(cls, key: str) -> Reason:
        """Return the reason of a key; ``OTHER`` for one that only a manifest of another version knows."""
        return next((reason for reason in cls if reason == key), cls.OTHER)


@dataclass(frozen=True)
class Refusal:
    """Why one image's label is not used.

    Attributes:
        reason: The key.
        detail: What is special to this image, in place of the key's sentence; empty: nothing.

    Example:
        >>> str(Refusal(Reason.EMPTY_MASK)), str(Refusal.low_score(0.25, 0.5))
        ('the recorded mask is empty', 'score 0.25 is below 0.5')
    """

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """Say it to people."""
        return self.detail or self.reason.sentence

    @classmethod
    def low_score(cls, score: float, min_score: float) -> Refusal:
        """Refuse a label whose ``score`` is below ``min_score``."""
        return cls(Reason.LOW_SCORE, f"score {score:.2f} is below {min_score:g}")
