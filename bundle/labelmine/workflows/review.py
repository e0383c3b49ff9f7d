"""What ``configs/review.yaml`` does, and ``mine.yaml`` at its end: say which images to correct, and hand them out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from labelmine.atomic import write_whole
from labelmine.data import ClassMap, ImageSet, Item, LabelStore, LoadItem, read_image
from labelmine.data.split_file import SPLIT_FILE_NAME
from labelmine.errors import ConfigError, DataError
from labelmine.export import ReviewCase, write_review_folders
from labelmine.networks import Student
from labelmine.quality.review import ReviewOrder, centred, rank_for_review
from labelmine.transforms import StudentView
from labelmine.workflows.inference import find_images
from labelmine.workflows.prediction import Predictor

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
) -> pd.DataFrame:
    """Rank all pseudo-labelled images by what their correction should bring, and hand the first ones out.

    Writes ``labels/review.csv`` and, unless ``folders`` is off or the budget is 0, ``labels/review/``, see
    ``write_review_folders``. Only images to mine are ranked, never one with gold.

    Args:
        output_dir: The run's folder.
        images: Its image set.
        store: Its pseudo labels.
        predictor: Its student, whose encoder says which images are alike.
        budget: How many images an expert is to correct.
        diversity: See ``rank_for_review``.
        folders: Whether to write the folders too.

    Returns:
        The table, the image to correct first in front: ``rank`` from 1, ``id``, ``image``, ``selected``,
        ``expected_dice``, ``gain``, ``similarity`` to the most similar image in front, and ``reason``: why the label
        was rejected, or that it was accepted.

    Raises:
        ConfigError: Budget or diversity out of range.
    """
    if isinstance(budget, bool) or budget != int(budget) or budget < 0:
        raise ConfigError(f"budget: expected a number of images to correct, 0 or more, got {budget}")
    records = {record["id"]: record for record in store.records()}
    items = [item for item in images.items if item["id"] in records and _is_mined(item)]
    dice = [float(np.clip(records[item["id"]]["score"], 0, 1)) for item in items]
    embeddings = centred(image_embeddings(predictor, items, images))
    ranked = rank_for_review([item["id"] for item in items], dice, embeddings, diversity)
    chosen = [items[index] for index in ranked.order[: int(budget)]]
    table = _table([items[index] for index in ranked.order], ranked, records, int(budget))
    labels = Path(output_dir).expanduser() / "labels"
    text = io.StringIO()
    table.to_csv(text, index=False)
    write_whole(labels / REVIEW_FILE, text.getvalue().encode())
    if folders and chosen:
        write_review_folders(labels / REVIEW_FOLDER, _cases(chosen, images, store), images.classes.names)
    logger.info("%d of %d pseudo-labelled images are to be corrected, see labels/review.csv", len(chosen), len(items))
    return table


def image_embeddings(
    predictor: Predictor, items: Sequence[Item], images: ImageSet, batch_size: int = 8
) -> NDArray[np.float32]:
    """Return (N, D) float32: the student's deepest features of each image, averaged over all that is no padding."""
    load = LoadItem(images.classes, images.window, images.slice_axis)
    # Without their gold: only pixels are looked at.
    bare = [_without(item, "label") for item in items]
    views = Dataset(bare, Compose([load, StudentView(predictor.image_size)]))
    device = next(predictor.student.parameters()).device
    found: list[Tensor] = []
    for batch in tqdm(DataLoader(views, batch_size=batch_size), desc="compare images", unit="batch", leave=False):
        found.append(_embed(predictor.student, batch["image"].to(device), batch["weight"].to(device)).cpu())
    return torch.cat(found).numpy() if found else np.zeros((0, 1), dtype=np.float32)


@torch.no_grad()
def _embed(student: Student, image: Tensor, weight: Tensor) -> Tensor:
    normed = ((image - student.mean) / student.std).contiguous(memory_format=torch.channels_last)
    features = student.network.encoder(normed)[-1]
    share = F.adaptive_avg_pool2d((weight > 0).float(), features.shape[-2:])
    pooled: Tensor = (features * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3)).clamp(min=1e-6)
    return pooled


def review_run(
    dataset_dir: str | None,
    predictor: Predictor,
    labels_dir: str,
    budget: int = 20,
    diversity: float = 0.5,
    window: tuple[float, float] | None = None,
    slice_axis: int = -1,
) -> pd.DataFrame:
    """Run ``write_review`` on a finished mine or label run.

    Args:
        dataset_dir: The image set that was labelled; None: the phantoms of that run.
        predictor: The student.
        labels_dir: Output folder of the run, with ``labels/``; results go there.
        budget: See ``write_review``.
        diversity: See ``write_review``.
        window: That of the run.
        slice_axis: That of the run.

    Raises:
        DataError: No labels there, or none of the images was labelled.
    """
    folder = Path(labels_dir).expanduser()
    known = folder / "labels" / "classes.json"
    if not known.is_file():
        raise DataError(f"{folder.name}: has no labels/; give --labels_dir the output folder of a mine or label run")
    classes = ClassMap.from_json(json.loads(known.read_text(encoding="utf-8")))
    source = dataset_dir if dataset_dir is not None else _phantoms(folder)
    images = find_images(source, str(folder / "labels" / REVIEW_FOLDER), classes, window=window, slice_axis=slice_axis)
    images.items[:] = _as_in_run(images.items, folder / SPLIT_FILE_NAME)
    store = LabelStore(folder / "labels", images.classes, images.root, slice_axis)
    table = write_review(folder, images, store, predictor, budget, diversity)
    if table.empty:
        raise DataError(f"{images.name}: no image of it has a pseudo label in {folder.name}/labels; was it labelled?")
    return table


def _is_mined(item: Item) -> bool:
    return item.get("split") == "unlabeled" or ("split" not in item and "label" not in item)


def _as_in_run(items: Sequence[Item], split_file: Path) -> list[Item]:
    """Give items the split of the run, where it made one: gold that it hid is not gold to it."""
    if not split_file.is_file():
        return [_without(item, "split") for item in items]
    mined = set(json.loads(split_file.read_text(encoding="utf-8"))["unlabeled"])
    kept = [item.copy() for item in items if item["id"] in mined]
    for item in kept:
        item["split"] = "unlabeled"
    return kept


def _without(item: Item, key: Literal["label", "split"]) -> Item:
    copy = item.copy()
    copy.pop(key, None)
    return copy


def _phantoms(folder: Path) -> str:
    path = folder / "phantom" / "dataset.csv"
    if not path.is_file():
        raise DataError(f"{folder.name}: was no run on phantoms; give --dataset_dir the images that it labelled")
    return str(path)


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
        "reason": ["accepted" if row["accepted"] else f"rejected: {row['reason']}" for row in rows],
    }
    return pd.DataFrame(columns, columns=COLUMNS)


def _cases(items: Sequence[Item], images: ImageSet, store: LabelStore) -> Iterator[ReviewCase]:
    for item in tqdm(items, desc="hand out", unit="image"):
        image = read_image(item, images.window, images.slice_axis)
        yield ReviewCase(item["id"], image, store.read(item)[0] > 0)
