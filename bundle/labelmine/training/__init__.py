"""Training: one way to build a trainer, the student's own, what students start from, several ranks."""

from labelmine.training.batches import PrepareStudentBatch, student_loader, view_dataset
from labelmine.training.parallel import MeanStatistics, data_parallel
from labelmine.training.plan import TrainingPlan, adam_plan, learning_rate_schedule
from labelmine.training.start import new_student, starting_weights
from labelmine.training.student_trainer import student_evaluator, student_trainer
from labelmine.training.task import TrainingTask
from labelmine.training.trainer import TrainerParts, equip, loss_of, new_trainer

__all__ = [
    "MeanStatistics",
    "PrepareStudentBatch",
    "TrainerParts",
    "TrainingPlan",
    "TrainingTask",
    "adam_plan",
    "data_parallel",
    "equip",
    "learning_rate_schedule",
    "loss_of",
    "new_student",
    "new_trainer",
    "starting_weights",
    "student_evaluator",
    "student_loader",
    "student_trainer",
    "view_dataset",
]
