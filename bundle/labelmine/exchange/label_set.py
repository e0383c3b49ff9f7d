"""The labels of a run as other programs are given them: gold and accepted pseudo labels, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelmine.data.classes import ClassMap
from labelmine.data.duplicates import Pair
from labelmine.data.intensities import Window
from labelmine.data.items import Item, volume_id
from labelmine.data.label_store import LabelStore
from labelmine.data.loading import read_label
from labelmine.data.reading import read_image
from labelmine.errors import DataError
from labelmine.exchange.corrections import flat_name

ImageFiles = Literal["copy", "link"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
#: Who drew gold.
EXPERT = "expert"


@dataclass(frozen=True)
class LabelledImage:
    """One image that goes out with its label.

    Attributes:
        item: The image; ``label`` is its gold, if that is what goes out.
        split: Where it is used; pseudo labels train.
        source: ``gold``, ``corrected`` (by an expert, after a run), ``accepted`` (a pseudo label that a reviewer took
            as it is) or ``pseudo``.
        drawn_by: Who drew it: ``expert``, or ``student``, ``labeler``, ... as the manifest says.
        score: Expected Dice of a pseudo label; None for gold.
        reviewed_by: Who reviewed it: ``expert`` where the name is not to be said; empty: nobody.
    """

    item: Item
    split: Split
    source: Literal["gold", "corrected", "accepted", "pseudo"]
    drawn_by: str = EXPERT
    score: float | None = None
    reviewed_by: str = ""

    @property
    def id(self) -> str:
        """Id of the image in its set."""
        return self.item["id"]


@dataclass(frozen=True)
class LabelSet:
    """Labelled images of a run.

    Attributes:
        name: Name of the image set.
        classes: Its K classes.
        images: What goes out.
        left_out: How many images did not go out, by reason.
        store: The pseudo labels; None where there are none.
        near_duplicates: ``(id, id, distance)`` of images that are nearly the same.
        window: (centre, width) that deep images were read with, or None.
        slice_axis: Axis along which volumes were cut.
        image_files: ``copy``: pixels are written anew; ``link``: symbolic links, where a file can stay as it is.
        seed: Of draws, for example of folds.
    """

    name: str
    classes: ClassMap
    images: Sequence[LabelledImage]
    left_out: dict[str, int] = field(default_factory=dict)
    store: LabelStore | None = None
    near_duplicates: Sequence[Pair] = ()
    window: Window | None = None
    slice_axis: int = -1
    image_files: ImageFiles = "copy"
    seed: int = 0

    def read_pixels(self, image: LabelledImage) -> NDArray[np.uint8]:
        """Read an image as labelmine sees it, upright and by its window.

        Returns:
            (H, W) where it is grey, (H, W, 3) RGB where it is not.
        """
        pixels = np.asarray((read_image(image.item, self.window, self.slice_axis) * 255).round(), dtype=np.uint8)
        return pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels

    def read_label(self, image: LabelledImage) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Read the label of an image.

        Returns:
            Mask (K, H, W), and weight (H, W) in [0, 1]: 1 for gold, 0 where a pixel abstains.
        """
        if image.source == "pseudo":
            if self.store is None:
                raise DataError(f"{image.id}: expected a folder of pseudo labels, got none")
            mask, weight = self.store.read(image.item)
        else:
            mask, weight = read_label(image.item, image.item["label"], self.classes, self.slice_axis), 1.0
        return mask > 0, np.broadcast_to(np.asarray(weight, dtype=np.float32), mask.shape[1:])

    @cached_property
    def names(self) -> dict[str, str]:
        """File name, without suffix, of each image by its id.

        Raises:
            DataError: Two images that would have one name.
        """
        owners: dict[str, str] = {}
        for image in self.images:
            other = owners.setdefault(flat_name(image.id), image.id)
            if other != image.id:
                raise DataError(f"{other} and {image.id} would both be exported as {flat_name(other)}; rename one")
        return {identifier: name for name, identifier in owners.items()}

    @cached_property
    def groups(self) -> dict[str, str]:
        """Group of each image by its id, named after its first file: its own name may be a patient's number."""
        first: dict[str, str] = {}
        files = {image.id: flat_name(volume_id(image.item)) for image in self.images}
        return {image.id: first.setdefault(image.item["group"], files[image.id]) for image in self.images}

    def facts(self, image: LabelledImage) -> dict[str, Any]:
        """Return what is said of an image in every form."""
        score = None if image.score is None else round(image.score, 4)
        told = {"id": image.id, "group": self.groups[image.id], "split": image.split}
        return (
            told
            | {"source": image.source, "drawn_by": image.drawn_by, "score": score}
            | {"reviewed_by": image.reviewed_by}
        )

    @property
    def figures(self) -> dict[str, Any]:
        """What went out and what did not, for ``export.json``."""
        counts = Counter((image.split, image.source) for image in self.images)
        out: dict[str, dict[str, int]] = {}
        for (split, source), count in sorted(counts.items()):
            out.setdefault(split, {})[source] = count
        return {"dataset": self.name, "classes": list(self.classes.names), "images": out, "left_out": self.left_out}
