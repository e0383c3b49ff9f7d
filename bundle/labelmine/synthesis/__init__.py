"""Made images: diffusion models that learn from gold, ways to steer them, and the test that admits what they make."""

from labelmine.synthesis.admission import Admission, admit
from labelmine.synthesis.candidates import Made, Recipe, make_candidates, new_lesion, write_candidates
from labelmine.synthesis.clusters import cluster
from labelmine.synthesis.generator import Generator
from labelmine.synthesis.grids import grid_png
from labelmine.synthesis.likeness import (
    Likeness,
    diversity,
    frechet_distance,
    likeness,
    memorisation,
    ms_ssim,
    nearest_distance,
)
from labelmine.synthesis.masks import cleaned, deformed, hole_around
from labelmine.synthesis.pairs import (
    PrepareNoise,
    SquareView,
    generator_views,
    gold_of_generator,
    refuse_absent_classes,
)
from labelmine.synthesis.process import NoiseProcess
from labelmine.synthesis.sampling import FollowStyle, KeepKnown, sample

__all__ = [
    "Admission",
    "FollowStyle",
    "Generator",
    "KeepKnown",
    "Likeness",
    "Made",
    "NoiseProcess",
    "PrepareNoise",
    "Recipe",
    "SquareView",
    "admit",
    "cleaned",
    "cluster",
    "deformed",
    "diversity",
    "frechet_distance",
    "generator_views",
    "gold_of_generator",
    "grid_png",
    "hole_around",
    "likeness",
    "make_candidates",
    "memorisation",
    "ms_ssim",
    "nearest_distance",
    "new_lesion",
    "refuse_absent_classes",
    "sample",
    "write_candidates",
]
