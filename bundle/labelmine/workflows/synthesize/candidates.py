"""Candidates: images that a generator makes, to be examined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from labelmine.errors import ConfigError, DataError
from labelmine.evaluation import write_table
from labelmine.synthesis import (
    Generator,
    Recipe,
    generator_views,
    gold_of_generator,
    make_candidates,
    write_candidates,
)
from labelmine.training import TrainingTask
from labelmine.workflows.synthesize.generator_training import gold_digests
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.made_items import CANDIDATES, TABLE


class CandidateStage:
    """Make candidates with the trained generator and write them into ``candidates/``; goes on where it stopped.

    Args:
        task: Folder and images.
        generator_file: The generator's file.
        kinds: Kind of each gold image, see ``kinds_of``.

    Raises:
        ConfigError: Knobs that no image can be made with.
    """

    def __init__(self, task: TrainingTask[SynthesizeKnobs], generator_file: Path, kinds: Mapping[str, int]) -> None:
        """Keep what is needed."""
        self.task = task
        self.generator_file = generator_file
        self.kinds = kinds
        self.recipe = recipe_of(task.knobs)

    def __call__(self) -> None:
        """Make what is missing.

        Raises:
            DataError: The generator was trained on other gold than the student has.
            ConfigError: The generator makes images of another size.
        """
        images, folder = self.task.images, self.task.folder.path / CANDIDATES
        generator = self._generator()
        views = list(generator_views(gold_of_generator(images), images, generator.image_size))
        path = folder / TABLE
        rows = pd.read_csv(path, dtype=str).to_dict("records") if path.is_file() else []
        parts = ("images",) if generator.content == "images" else ("images", "masks")
        done = frozenset(
            row["id"] for row in rows if all((folder / part / f"{row['id']}.png").is_file() for part in parts)
        )
        generator.to(self.task.knobs.device)
        for made in make_candidates(generator, views, self.recipe, self.kinds, done):
            write_candidates(made, folder, images.classes)
            rows = [row for row in rows if row["id"] not in made.ids]  # a batch that was there in part is made whole
            rows += [{"id": name, "source": source} for name, source in zip(made.ids, made.sources, strict=True)]
            write_table(path, pd.DataFrame(rows))

    def _generator(self) -> Generator:
        generator, spec = Generator.load(self.generator_file, self.task.knobs.bfloat16)
        name, size = self.generator_file.name, self.task.knobs.generator_size
        if generator.image_size != size:
            raise ConfigError(
                f"{name} makes images of {generator.image_size} px, the run asks for {size}. Give "
                f"--generator_size {generator.image_size}, or train another generator (leave out --generator_file)"
            )
        own = gold_digests(self.task.images)
        if spec.get("trained_on") != own:
            other = set(spec.get("trained_on", [])) ^ set(own)
            raise DataError(
                f"{name} was trained on other gold than this run's student has ({len(other)} images differ), so a "
                "comparison would not be fair. Give the --split_file of the run that trained it, or train another "
                "(leave out --generator_file)"
            )
        return generator


def recipe_of(knobs: SynthesizeKnobs) -> Recipe:
    """Return how candidates are made.

    Raises:
        ConfigError: Knobs that no image can be made with.
    """
    return Recipe(
        count=knobs.count,
        steps=knobs.sampling_steps,
        resamplings=knobs.resamplings,
        eta=knobs.eta,
        inpaint=knobs.inpaint,
        hole_margin=knobs.hole_margin,
        style=knobs.style,
        style_factor=knobs.style_factor,
        match_colours=knobs.match_colours,
        mask_threshold=knobs.mask_threshold,
        opening=knobs.opening,
        batch_size=knobs.generator_batch_size,
        seed=knobs.seed,
    )
