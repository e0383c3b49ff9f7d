"""``configs/inference.yaml``: masks for new images, by the student alone or refined by the teacher."""

from labelmine.workflows.inference.inference import Inference, InferenceKnobs
from labelmine.workflows.inference.student_inferer import StudentInferer, prepare_views

__all__ = ["Inference", "InferenceKnobs", "StudentInferer", "prepare_views"]
