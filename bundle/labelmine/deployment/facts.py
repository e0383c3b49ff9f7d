"""What a student says of itself in every form: classes, sizes, hash, licence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from labelmine import __version__
from labelmine.networks import Student
from labelmine.weights import sha256_of

#: Of weights of which nobody said more.
RESEARCH = "research use only"


class StudentFacts(NamedTuple):
    """A student with what is told of it.

    Attributes:
        student: In evaluation mode, on the CPU.
        image_size: Side of its view in pixels.
        sha256: Hash of the file that it came from.
        licence: Of its weights.
    """

    student: Student
    image_size: int
    sha256: str
    licence: str = RESEARCH

    @classmethod
    def of_file(cls, path: Path, licence: str = RESEARCH) -> StudentFacts:
        """Read a student that ``Student.save`` wrote.

        Raises:
            WeightsError: No student there.
        """
        student, metadata = Student.load(path)
        return cls(student, int(metadata["image_size"]), sha256_of(path), licence)

    def as_dict(self) -> dict[str, Any]:
        """Return what stands in the metadata of each form, JSON-able."""
        return {
            "made_by": f"labelmine {__version__}",
            "architecture": f"U-Net++ ({self.student.encoder})",
            "class_names": list(self.student.class_names),
            "exclusive": self.student.exclusive,
            "image_size": self.image_size,
            "student_sha256": self.sha256,
            "licence": self.licence,
            "intended_use": "research; not a medical device",
        }

    def as_texts(self) -> dict[str, str]:
        """Return the same with texts for values, what is no text as JSON: metadata of ONNX hold nothing else."""
        return {key: one if isinstance(one, str) else json.dumps(one) for key, one in self.as_dict().items()}
