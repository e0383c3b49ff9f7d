"""Transforms that MONAI does not have: the student's view and batch augmentation after labelling."""

from labelmine.transforms.affine import RandomAffine
from labelmine.transforms.augment import BatchAugment
from labelmine.transforms.colours import RandomColours
from labelmine.transforms.flips import flips_and_turns, flips_scales_and_colours
from labelmine.transforms.grey import RandGreyd
from labelmine.transforms.smaller import SmallerAtFirst
from labelmine.transforms.strong import StrongView
from labelmine.transforms.student import Augment, MovedAndRecoloured
from labelmine.transforms.view import StudentView, asked_part, teacher_images, to_original, view_extent

__all__ = [
    "Augment",
    "BatchAugment",
    "MovedAndRecoloured",
    "RandGreyd",
    "RandomAffine",
    "RandomColours",
    "SmallerAtFirst",
    "StrongView",
    "StudentView",
    "asked_part",
    "flips_and_turns",
    "flips_scales_and_colours",
    "teacher_images",
    "to_original",
    "view_extent",
]
