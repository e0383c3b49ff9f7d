"""The images of a study: checked once, split for each label fraction and seed, with one test set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path

from labelmine.data import ImageSet, find_images, near_duplicates, read_image, write_phantom_set
from labelmine.data.budget import split_by_budget
from labelmine.data.found_set import set_name
from labelmine.data.split_file import save_split
from labelmine.errors import ConfigError
from labelmine.run.files import PHANTOM_FOLDER
from labelmine.workflows.study.knobs import StudyKnobs

N_PHANTOMS = 160


class StudyImages:
    """The images of a study, and the split of each label fraction and seed.

    Args:
        knobs: Of the workflow.

    Raises:
        ConfigError: Two external sets of one name.
    """

    def __init__(self, knobs: StudyKnobs) -> None:
        """Keep the knobs; nothing is read yet."""
        self.folder = Path(knobs.output_dir).expanduser()
        self.phantoms = knobs.dataset_dir is None
        self.source = str(self.folder / PHANTOM_FOLDER) if knobs.dataset_dir is None else knobs.dataset_dir
        self.drawing = knobs.model_dump(include={"test_fraction", "test_seed", "val_share"})
        self.reading = knobs.model_dump(include={"classes", "window", "slice_axis"})
        self.mask_pattern = knobs.mask_pattern
        self.external_dirs = [knobs.external_dir] if isinstance(knobs.external_dir, str) else knobs.external_dir
        names = [set_name(Path(folder)) for folder in self.external_dirs]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"external_dir: {', '.join(doubled)} is the name of two sets; rename one of the folders")

    @cached_property
    def images(self) -> ImageSet:
        """All usable images, without a split."""
        if self.phantoms:
            write_phantom_set(Path(self.source), N_PHANTOMS, 0, 0)
        return find_images(self.source, str(self.folder), **self.reading, mask_pattern=self.mask_pattern)

    @cached_property
    def external(self) -> tuple[ImageSet, ...]:
        """The external sets, checked."""
        found = []
        for folder in self.external_dirs:
            into = self.folder / "external" / set_name(Path(folder))
            found.append(find_images(folder, str(into), **self.reading))
        return tuple(found)

    def split_file(self, fraction: float, seed: int) -> Path:
        """Return where the split of a fraction and seed lies."""
        return self.folder / "splits" / f"{fraction:g}_seed_{seed}.json"

    def write_splits(self, fractions: Sequence[float], seeds: Sequence[int]) -> None:
        """Write the splits that are not there yet; near-duplicates are looked for once."""
        missing = [(f, s) for f in fractions for s in seeds if not self.split_file(f, s).is_file()]
        if not missing:
            return
        items = self.images.items
        pairs = near_duplicates(
            items, partial(read_image, window=self.images.window, slice_axis=self.images.slice_axis)
        )
        for fraction, seed in missing:
            split = split_by_budget(items, fraction, seed, duplicates=pairs, **self.drawing)
            path = self.split_file(fraction, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_split(path, items, split, {**self.drawing, "budget": fraction, "seed": seed}, pairs)
