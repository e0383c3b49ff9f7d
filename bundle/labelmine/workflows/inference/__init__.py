"""``configs/inference.yaml``: masks for new images, by the student alone or refined by the teacher."""

from labelmine.workflows.inference.inference import Inference
from labelmine.workflows.inference.student_inferer import StudentInferer, prepare_views
from labelmine.workflows.inference.task import InferenceKnobs, InferenceTask

__all__ = ["Inference", "InferenceKnobs", "InferenceTask", "StudentInferer", "prepare_views"]
