"""``configs/evaluate.yaml``: a student, or mask files, against gold."""

from labelmine.workflows.evaluate.evaluation import Evaluation
from labelmine.workflows.evaluate.task import EvaluateKnobs, EvaluationTask

__all__ = ["EvaluateKnobs", "Evaluation", "EvaluationTask"]
