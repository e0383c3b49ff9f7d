"""Who drew masks, and UIDs that follow from it: what is written again is the same object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from labelmine import __version__
from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.identity import Identity

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


@dataclass(frozen=True)
class Algorithm:
    """Who drew the masks.

    Attributes:
        name: Name of the algorithm.
        weights: SHA-256 of the student's weights.
        facts: What else decides the masks, name and value.
        kind: Whether a person had a part in them, in DICOM's words.
        reviewer: Name of who reviewed them; empty: it is not to be said.
    """

    name: str
    weights: str
    facts: Mapping[str, str] = field(default_factory=dict)
    kind: AlgorithmType = "AUTOMATIC"
    reviewer: str = ""


class DerivedUids:
    """UIDs that follow from images, algorithm and masks: a run that is repeated makes the same objects.

    Args:
        stack: The images.
        masks: Their masks.
        algorithm: Who drew them.
        identity: Whose the object is to be.
    """

    def __init__(self, stack: Stack, masks: NDArray[Any], algorithm: Algorithm, identity: Identity) -> None:
        """Hash what they follow from."""
        facts = [f"{name}={value}" for name, value in sorted(algorithm.facts.items())]
        facts += [] if algorithm.kind == "AUTOMATIC" else [algorithm.kind, algorithm.reviewer]
        self._origin = [identity.uid(stack.series), algorithm.name, algorithm.weights, __version__, *facts]
        frames = [f"{identity.uid(frame.instance)}:{frame.number}" for frame in stack.frames]
        content = sha256("\n".join(frames).encode())
        content.update(np.ascontiguousarray(masks).data)
        self._content = content.hexdigest()

    def shared(self, *what: str) -> str:
        """UID of what all masks of the series have in common."""
        return str(generate_uid(entropy_srcs=[*self._origin, *what]))

    def own(self, *what: str) -> str:
        """UID of what only these masks have."""
        return self.shared(*what, self._content)


def person_name(text: str) -> str:
    """Return a name as DICOM's VR PN has it: one component, closed by a caret, without the signs that part components.

    Example:
        >>> person_name("Ann^O'Hara=x")
        "Ann O'Hara x^"
    """
    plain = "".join(" " if sign in "^=\\" else sign for sign in text).strip()[:63]
    return f"{plain}^" if plain else ""
