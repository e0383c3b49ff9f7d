"""Which teachers may be used with a set: their licence, and whether they have seen its images."""

from __future__ import annotations

import json
from collections.abc import Sequence

from labelmine.bundle import bundle_root
from labelmine.data import Item
from labelmine.report.doctor_tables import WeightsVerdict
from labelmine.teachers import Teacher
from labelmine.teachers.build import image_digest
from labelmine.weights import KNOWN_WEIGHTS, load_state_dict_safely


def judge_weights(items: Sequence[Item], teacher: Teacher) -> list[WeightsVerdict]:
    """Ask all weights that have a name, and those of a run's teacher, whether they know these images.

    Args:
        items: The images.
        teacher: The one that the run would use.
    """
    digests = [image_digest(path) for path in sorted({item["image"] for item in items})]

    def seen(trained_on: frozenset[str]) -> int | None:
        return sum(digest in trained_on for digest in digests) if trained_on else None

    verdicts = [
        WeightsVerdict(name, known.licence, seen(_trained_on(known.file) if known.url is None else frozenset()))
        for name, known in KNOWN_WEIGHTS.items()
        if name != teacher.name
    ]
    licence = KNOWN_WEIGHTS[teacher.name].licence if teacher.name in KNOWN_WEIGHTS else "that of its origin"
    return [WeightsVerdict(teacher.name, licence, seen(teacher.trained_on), chosen=True), *verdicts]


def _trained_on(file: str) -> frozenset[str]:
    """Digests that shipped weights keep; none where the file is not there."""
    path = bundle_root() / "models" / file
    if not path.is_file():
        return frozenset()
    return frozenset(json.loads(load_state_dict_safely(path)[1].get("trained_on", "[]")))
