"""A trained student at work: masks at original size, compared with gold, shown."""

from labelmine.prediction.comparison import compare, evaluate, gold_of
from labelmine.prediction.dictionary import MasksOfViewsd, ViewsOfFiled
from labelmine.prediction.embeddings import image_embeddings
from labelmine.prediction.mask_forms import check_forms, write_forms
from labelmine.prediction.pictures import Pictures
from labelmine.prediction.pixels import calibrate_pixels, pixel_calibration_of
from labelmine.prediction.predictor import Predictor
from labelmine.prediction.saved_student import SavedStudent, best_student, student_folder
from labelmine.prediction.selection import Examined, examine
from labelmine.prediction.task import StudentTask, bundled_student

__all__ = [
    "Examined",
    "MasksOfViewsd",
    "Pictures",
    "Predictor",
    "SavedStudent",
    "StudentTask",
    "ViewsOfFiled",
    "best_student",
    "bundled_student",
    "calibrate_pixels",
    "check_forms",
    "compare",
    "evaluate",
    "examine",
    "gold_of",
    "image_embeddings",
    "pixel_calibration_of",
    "student_folder",
    "write_forms",
]
