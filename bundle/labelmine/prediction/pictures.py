"""Images with outlines for a report: what students see in test images, what labels were made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmine.data import ImageSet, Item, LabelStore, LoadItem
from labelmine.evaluation import Case, best_median_worst
from labelmine.prediction.comparison import gold_of
from labelmine.prediction.predictor import Predictor
from labelmine.prediction.selection import Examined
from labelmine.transforms import view_extent

#: Pictures of accepted and of rejected pseudo labels.
EXAMPLES = {True: 4, False: 2}


class Pictures:
    """Makes the cases of a report.

    Args:
        images: The image set.
    """

    def __init__(self, images: ImageSet) -> None:
        """Keep the image set."""
        self.images = images
        self._load = LoadItem(images.classes, images.window, images.slice_axis)

    def of_test(self, examined: Examined) -> list[Case]:
        """Return the test images that the kept student draws best, worst and in the middle."""
        items = {item["id"]: item for item in self.images.test}
        dice = {n: dict(zip(t["id"], t["dice"], strict=True)) for n, t in examined.tables.items()}
        return [
            Case(
                id=name,
                image=self.picture(items[name]),
                gold=gold_of(items[name], self.images),
                predictions={n: self.mask(p, items[name]) for n, p in examined.predictors.items()},
                dice={n: of_image[name] for n, of_image in dice.items()},
                caption=caption,
            )
            for caption, name in best_median_worst(examined.tables[examined.kept]).items()
        ]

    def of_labels(self, store: LabelStore, student: Predictor, seed: int) -> list[Case]:
        """Return some accepted and some rejected pseudo labels, drawn at random."""
        items = {item["id"]: item for item in self.images.unlabeled}
        rng = np.random.default_rng(seed)
        cases = []
        for accepted, count in EXAMPLES.items():
            records = [r for r in store.records() if bool(r["accepted"]) is accepted and r["id"] in items]
            for index in sorted(rng.permutation(len(records))[:count]):
                cases.append(self._of_label(items[records[index]["id"]], records[index], store, student))
        return cases

    def _of_label(self, item: Item, record: Mapping[str, Any], store: LabelStore, student: Predictor) -> Case:
        image = self.picture(item)
        size = (image.shape[0], image.shape[1])
        extent = view_extent(size, record["view_size"])
        scale = np.array([size[1] / extent[1], size[0] / extent[0]])
        boxes = [np.array(p["box"]) * np.tile(scale, 2) for p in record["prompts"] if "box" in p]
        points = [np.array(p["points"]).reshape(-1, 2) * scale for p in record["prompts"] if "points" in p]
        labels = [np.array(p["point_labels"], dtype=int) for p in record["prompts"] if "points" in p]
        verdict = "accepted" if record["accepted"] else f"rejected: {record['reason']}"
        return Case(
            id=item["id"],
            image=image,
            gold=gold_of(item, self.images) if "dropped_label" in item else None,
            predictions={"student": self.mask(student, item), "pseudo label": store.read(item)[0] > 0},
            boxes=np.stack(boxes) if boxes else None,
            points=np.concatenate(points) if points else None,
            point_labels=np.concatenate(labels) if points else None,
            caption=f"{verdict}, score {record['score']:.2f}",
        )

    def mask(self, predictor: Predictor, item: Item) -> NDArray[np.bool_]:
        """Return what a student sees, (K, H, W)."""
        return next(predictor.masks([item], self.images, desc="picture"))[1]

    def picture(self, item: Item) -> NDArray[np.float32]:
        """Return an image, (H, W, 3) in [0, 1]."""
        picture: NDArray[np.float32] = self._load(item)["image"].permute(1, 2, 0).numpy()
        return picture
