"""Say which pseudo labels to correct first, and hand these out."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labelmine.atomic import write_whole
from labelmine.data import ImageSet, Item, LabelStore, read_image
from labelmine.exchange import ReviewCase, write_review_folders
from labelmine.prediction import Predictor, image_embeddings
from labelmine.progress import progress
from labelmine.quality.review import ReviewOrder, centred, rank_for_review
from labelmine.ranges import check_number
from labelmine.run.files import LABELS_FOLDER

logger = logging.getLogger(__name__)

REVIEW_FILE, REVIEW_FOLDER = "review.csv", "review"
COLUMNS = ["rank", "id", "image", "selected", "expected_dice", "gain", "similarity", "reason"]


def write_review(
    output_dir: str | Path,
    images: ImageSet,
    store: LabelStore,
    predictor: Predictor,
    budget: int = 20,
    diversity: float = 0.5,
    folders: bool = True,
    review_dir: str | Path | None = None,
) -> pd.DataFrame:
    """Rank all pseudo-labelled images by what their correction should bring, and hand the first ones out.

    Writes ``labels/review.csv`` and, unless ``folders`` is off or the budget is 0, the folders of
    ``write_review_folders``. Only images to mine are ranked, never one with gold.

    Args:
        output_dir: The run's folder.
        images: Its image set.
        store: Its pseudo labels.
        predictor: Its student, whose encoder says which images are alike.
        budget: How many images an expert is to correct.
        diversity: See ``rank_for_review``.
        folders: Whether to write the folders too.
        review_dir: Where these go; None: ``labels/review/``.

    Returns:
        The table, the image to correct first in front: ``rank`` from 1, ``id``, ``image``, ``selected``,
        ``expected_dice``, ``gain``, ``similarity`` to the most similar image in front, and ``reason``: why the label
        was rejected, or that it was accepted.

    Raises:
        ConfigError: Budget or diversity out of range.
    """
    check_number("budget", budget, 0, whole=True, hint="images to correct")
    records = {record["id"]: record for record in store.records()}
    items = [item for item in images.items if item["id"] in records and _is_mined(item)]
    dice = [float(np.clip(records[item["id"]]["score"], 0, 1)) for item in items]
    embeddings = centred(image_embeddings(predictor, items, images))
    ranked = rank_for_review([item["id"] for item in items], dice, embeddings, diversity)
    chosen = [items[index] for index in ranked.order[:budget]]
    table = _table([items[index] for index in ranked.order], ranked, records, budget)
    labels = Path(output_dir).expanduser() / LABELS_FOLDER
    text = io.StringIO()
    table.to_csv(text, index=False)
    write_whole(labels / REVIEW_FILE, text.getvalue().encode(), told=False)  # later runs write it anew
    if folders and chosen:
        into = labels / REVIEW_FOLDER if review_dir is None else Path(review_dir)
        write_review_folders(into, _cases(chosen, images, store), images.classes.names)
    logger.info("%d of %d pseudo-labelled images are to be corrected, see labels/review.csv", len(chosen), len(items))
    return table


def _is_mined(item: Item) -> bool:
    return item.get("split") == "unlabeled" or ("split" not in item and "label" not in item)


def _table(
    items: Sequence[Item], ranked: ReviewOrder, records: Mapping[str, Mapping[str, Any]], budget: int
) -> pd.DataFrame:
    rows = [records[item["id"]] for item in items]
    columns = {
        "rank": range(1, len(items) + 1),
        "id": [row["id"] for row in rows],
        "image": [row["image"] for row in rows],
        "selected": [place < budget for place in range(len(items))],
        "expected_dice": np.round(1 - ranked.gain, 6),
        "gain": ranked.gain,
        "similarity": ranked.similarity,
        "reason": ["accepted" if row["accepted"] else f"rejected: {row['explanation']}" for row in rows],
    }
    return pd.DataFrame(columns, columns=COLUMNS)


def _cases(items: Sequence[Item], images: ImageSet, store: LabelStore) -> Iterator[ReviewCase]:
    for item in progress(items, "hand out"):
        image = read_image(item, images.window, images.slice_axis)
        yield ReviewCase(item["id"], image, store.read(item)[0] > 0)
