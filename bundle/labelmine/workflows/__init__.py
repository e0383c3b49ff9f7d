"""The Python halves of the configs: what is too long for an expression, and belongs to no single room."""

from labelmine.workflows.mining import Conclusion, best_student
from labelmine.workflows.prediction import Predictor, compare, evaluate
from labelmine.workflows.run_folder import RunFolder
from labelmine.workflows.training import (
    PrepareStudentBatch,
    new_student,
    student_evaluator,
    student_loader,
    student_trainer,
    view_dataset,
)

__all__ = [
    "Conclusion",
    "Predictor",
    "PrepareStudentBatch",
    "RunFolder",
    "best_student",
    "compare",
    "evaluate",
    "new_student",
    "student_evaluator",
    "student_loader",
    "student_trainer",
    "view_dataset",
]
