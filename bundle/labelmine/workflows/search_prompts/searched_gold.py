"""The gold that a prompt search may look at: a finished run's split, never its test images."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labelmine.data import ImageSet, Item, prepare_image_set
from labelmine.errors import ConfigError, DataError
from labelmine.exchange import corrections_reader
from labelmine.run.files import BEST_FILE, CONFIG_FILE, PHANTOM_FOLDER, SPLIT_FILE, SUPERVISED
from labelmine.run.folder import read_settings

logger = logging.getLogger(__name__)

Gold = Literal["val", "hidden"]
#: Settings of a run that say how its images and masks are read.
READING = ("classes", "window", "slice_axis", "mask_pattern")


@dataclass(frozen=True)
class SearchedGold:
    """What a search looks at.

    Attributes:
        images: The image set.
        items: Images with gold, or with ``dropped_label``, in the order of ``loader``.
        loader: Batches of their views.
    """

    images: ImageSet
    items: Sequence[Item]
    loader: Iterable[Mapping[str, Any]]


def trained_settings(model_dir: str) -> dict[str, Any]:
    """Return the settings of the ``mine.yaml`` or ``train.yaml`` run whose supervised student is asked.

    Raises:
        ConfigError: The folder holds no such run.
    """
    folder = Path(model_dir).expanduser()
    for name in (CONFIG_FILE, SPLIT_FILE, f"{SUPERVISED}/{BEST_FILE}"):
        if not (folder / name).is_file():
            raise ConfigError(
                f"model_dir: expected the output folder of a mine.yaml or train.yaml run, got {folder.name} without "
                f"{name}"
            )
    return read_settings(folder)


def images_of_run(model_dir: str, dataset_dir: str | None, output_dir: str) -> ImageSet:
    """Return the image set of a finished run with its split, however that came about: drawn, given or corrected.

    Args:
        model_dir: Output folder of the run; only read.
        dataset_dir: Its images; None: the phantoms that it wrote for itself.
        output_dir: Where the split and ``quarantine.csv`` go.

    Raises:
        ConfigError: No such run, or no images.
        DataError: Other images than the run's.
    """
    settings = trained_settings(model_dir)
    folder = Path(model_dir).expanduser()
    phantoms = folder / PHANTOM_FOLDER / "dataset.csv"
    if dataset_dir is None and not phantoms.is_file():
        raise ConfigError(f"dataset_dir: expected the images of the run in {folder.name}. Got: null")
    images = prepare_image_set(
        str(phantoms) if dataset_dir is None else dataset_dir,
        output_dir,
        **{key: settings[key] for key in READING},
        corrections=corrections_reader(settings.get("corrections")),
        split_file=str(folder / SPLIT_FILE),
    )
    return replace(images, name="phantom") if dataset_dir is None else images


def gold_items(images: ImageSet, gold: Gold = "val", limit: int | None = None, seed: int = 0) -> list[Item]:
    """Return the images to search on.

    Args:
        images: The image set of a run.
        gold: ``val``: validation gold. ``hidden``: gold that ``labeled_fraction`` hid from training, for studies: in
            earnest nobody has it. Test gold stays clean either way.
        limit: Images at most, drawn at random; None: all.
        seed: Of the draw.

    Raises:
        ConfigError: Another word, or a limit below 2.
        DataError: No such gold.
    """
    if gold not in ("val", "hidden"):
        raise ConfigError(f"gold: expected 'val' or 'hidden'. Got: '{gold}'")
    if limit is not None and limit < 2:
        raise ConfigError(f"limit: expected 2 images or more, or null for all. Got: {limit}")
    known = images.val if gold == "val" else [item for item in images.unlabeled if "dropped_label" in item]
    if not known:
        raise DataError(f"{images.name}: expected hidden gold, found none; give a run with --labeled_fraction below 1")
    chosen = sorted(np.random.default_rng(seed).permutation(len(known))[:limit])
    logger.info("search on %d of %d images with %s gold", len(chosen), len(known), gold)
    return [known[index] for index in chosen]
