"""``configs/study.yaml``: does mining help on these images, with so few masks? Methods x fractions x seeds."""

from labelmine.workflows.study.knobs import StudyKnobs
from labelmine.workflows.study.study import Study

__all__ = ["Study", "StudyKnobs"]
