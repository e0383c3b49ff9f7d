"""ignite handlers: pseudo labelling and its quality, seeding per epoch, resuming, keeping the best student ..."""

from labelmine.handlers.ema import EmaStudent
from labelmine.handlers.epoch_seed import EpochSeed
from labelmine.handlers.history import History, read_history
from labelmine.handlers.keep_best import KeepBest
from labelmine.handlers.label_memory import InFiles, InMemory, LabelMemory
from labelmine.handlers.label_quality import LabelQuality
from labelmine.handlers.mask_saver import MaskSaver
from labelmine.handlers.pseudo_labeling import PseudoLabeling
from labelmine.handlers.resume import Resume
from labelmine.handlers.schedule import Schedule
from labelmine.handlers.stage_progress import StageProgress
from labelmine.handlers.uncertainty_saver import UncertaintySaver, map_names

__all__ = [
    "EmaStudent",
    "EpochSeed",
    "History",
    "InFiles",
    "InMemory",
    "KeepBest",
    "LabelMemory",
    "LabelQuality",
    "MaskSaver",
    "PseudoLabeling",
    "Resume",
    "Schedule",
    "StageProgress",
    "UncertaintySaver",
    "map_names",
    "read_history",
]
