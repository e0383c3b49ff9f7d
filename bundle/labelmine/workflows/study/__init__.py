"""``configs/study.yaml``: does mining help on these images, with so few masks? Methods x fractions x seeds."""

from labelmine.workflows.study.knobs import StudyKnobs
from labelmine.workflows.study.study import Study
from labelmine.workflows.study.workflow import StudyWorkflow

__all__ = ["Study", "StudyKnobs", "StudyWorkflow"]
