"""Training: one way to build a trainer, the student's own, what students start from, several ranks."""

from labelmine.handlers import read_history
from labelmine.training.batches import PrepareStudentBatch, student_loader, view_dataset
from labelmine.training.parallel import MeanStatistics, data_parallel
from labelmine.training.plan import TrainingPlan, learning_rate_schedule, student_plan
from labelmine.training.precision import BFloat16Inferer, bfloat16_in_hardware, training_inferer
from labelmine.training.start import new_student, starting_weights
from labelmine.training.student_trainer import student_evaluator, student_trainer
from labelmine.training.task import TrainingTask
from labelmine.training.trainer import TrainerParts, equip, loss_of, new_trainer

__all__ = [
    "BFloat16Inferer",
    "MeanStatistics",
    "PrepareStudentBatch",
    "TrainerParts",
    "TrainingPlan",
    "TrainingTask",
    "bfloat16_in_hardware",
    "data_parallel",
    "equip",
    "learning_rate_schedule",
    "loss_of",
    "new_student",
    "new_trainer",
    "read_history",
    "starting_weights",
    "student_evaluator",
    "student_loader",
    "student_plan",
    "student_trainer",
    "training_inferer",
    "view_dataset",
]
