"""``configs/train_teacher.yaml``: the compact teacher, trained on image sets with masks and simulated prompts."""

from labelmine.workflows.train_teacher.exam import exam_samples, prompted_dice
from labelmine.workflows.train_teacher.objects import views_of_objects
from labelmine.workflows.train_teacher.start import start_compact_teacher
from labelmine.workflows.train_teacher.training import TeacherKnobs, TeacherTraining

__all__ = [
    "TeacherKnobs",
    "TeacherTraining",
    "exam_samples",
    "prompted_dice",
    "start_compact_teacher",
    "views_of_objects",
]
