"""One vocabulary for who drew a label: in memory, records, manifests and metrics."""

from __future__ import annotations

from enum import StrEnum


class DrawnBy(StrEnum):
    """Who drew a mask, or a class of it."""

    STUDENT = "student"
    LABELER = "labeler"
    #: The mean of student and labeler.
    BLEND = "blend"
    #: The labeler where it accepts its own answer to an image, else the student.
    REFINED = "refined"
    NOBODY = "none"
