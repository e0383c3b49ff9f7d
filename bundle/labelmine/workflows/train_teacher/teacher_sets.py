"""The image sets that a teacher learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import WeightedRandomSampler

from labelmine.data import Item, find_items, write_phantom_set
from labelmine.errors import ConfigError, DataError


@dataclass(frozen=True)
class TeacherSets:
    """Several image sets with masks, concatenated.

    Attributes:
        items: Items with gold of all sets, in order.
        sizes: Number of items per set.
    """

    items: list[Item]
    sizes: list[int]


def load_teacher_sets(
    dataset_dirs: Sequence[str], output_dir: str, phantom_count: int = 400, phantom_size: int = 192, seed: int = 0
) -> TeacherSets:
    """Find the labelled images of several sets; the name ``phantom`` stands for made images.

    Raises:
        ConfigError: When no set is named.
        DataError: When a set is missing or holds no masks.
    """
    if not dataset_dirs:
        raise ConfigError("dataset_dirs: name at least one image set with masks, for example \"['DIR', 'phantom']\".")
    sets = []
    for folder in dataset_dirs:
        if folder == "phantom":
            folder = str(
                write_phantom_set(Path(output_dir) / "phantom", phantom_count, 0, 0, seed + 1000, phantom_size)
            )
        found = [item for item in find_items(folder) if "label" in item]
        if not found:
            raise DataError(f"{Path(folder).name}: no image with a mask. A teacher learns from masks alone.")
        sets.append(found)
    return TeacherSets([i for s in sets for i in s], [len(s) for s in sets])


def balanced_sampler(sizes: Sequence[int], samples: int) -> WeightedRandomSampler:
    """Draw ``samples`` from concatenated image sets, each set with a share proportional to the root of its size.

    Draws come from torch's global generator, which ``EpochSeed`` seeds.
    """
    weights = np.concatenate([np.full(n, n**-0.5) for n in sizes])
    return WeightedRandomSampler(weights.tolist(), samples, replacement=True)
