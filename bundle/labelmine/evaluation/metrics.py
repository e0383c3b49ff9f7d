"""Per-image overlap of thresholded masks with gold, at the image's original size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from monai.metrics import compute_dice, compute_iou
from skimage.measure import label as connected_components

from labelmine.errors import DataError

BoolMask: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]


def dice_iou(pred: BoolMask, gold: BoolMask) -> tuple[FloatArray, FloatArray]:
    """Dice and IoU of each class of one image.

    An empty gold mask with an empty prediction counts 1, with any prediction 0: a lesion invented in a healthy image is
    an error, and silence there is right. This is what MONAI does under ``ignore_empty=False`` (its default leaves such
    images out).

    Args:
        pred: Predicted mask, (K, H, W) bool.
        gold: Gold mask of the same shape.

    Returns:
        Two (K,) float64 arrays in [0, 1]: Dice ``2|P n G| / (|P| + |G|)`` and IoU ``|P n G| / |P u G|``.

    Raises:
        DataError: When the shapes differ or are not (K, H, W), or a mask holds values other than 0 and 1.

    >>> gold = np.array([[[True, True, False, False]]])
    >>> dice, iou = dice_iou(np.array([[[False, True, True, False]]]), gold)
    >>> dice.round(3), iou.round(3)
    (array([0.5]), array([0.333]))
    """
    if pred.ndim != 3 or pred.shape != gold.shape:
        raise DataError(
            f"expected prediction and gold of one shape (K, H, W), got {pred.shape} and {gold.shape}; "
            "resize the prediction to the image's original size first"
        )
    prediction, reference = _as_batch(pred, "prediction"), _as_batch(gold, "gold")
    # Bool tensors: MONAI then counts pixels as integers, exact at any image size.
    dice = compute_dice(prediction, reference, include_background=True, ignore_empty=False)[0]
    iou = compute_iou(prediction, reference, include_background=True, ignore_empty=False)[0]
    return np.asarray(dice, dtype=np.float64), np.asarray(iou, dtype=np.float64)


def area_fraction(mask: BoolMask) -> float:
    """Part of the image that any class covers, in [0, 1]; `mask` is (K, H, W) bool."""
    return float(mask.any(axis=0).mean())


def count_lesions(mask: BoolMask) -> int:
    """Number of 8-connected components, summed over the classes of `mask`, (K, H, W) bool."""
    return sum(int(connected_components(channel, connectivity=2, return_num=True)[1]) for channel in mask)


def evaluate_masks(
    pairs: Iterable[tuple[str, BoolMask, BoolMask]],
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Compare predictions with gold, image by image; the pairs may be a generator, so that one is held at a time.

    Args:
        pairs: ``(id, prediction, gold)``, masks (K, H, W) bool at the image's original size.
        class_names: K names for the per-class columns; ``class0`` ... when absent.
        groups: Patient, video or volume of each id, for honest confidence intervals; each image its own when absent.

    Returns:
        One row per image in the given order: ``id``, ``group``, ``dice`` and ``iou`` (mean over classes),
        ``dice_<class>`` and ``iou_<class>`` where K > 1, ``gold_area`` (fraction of the image), ``n_lesions`` and
        ``gold_empty`` (no foreground in any class).

    Raises:
        DataError: For a doubled id, masks that do not fit together, or a wrong number of class names.
    """
    rows: dict[str, dict[str, object]] = {}
    for image_id, pred, gold in pairs:
        if image_id in rows:
            raise DataError(f"image {image_id!r} came twice; each image may count once in an evaluation")
        try:
            scores = _scores(pred, gold, class_names)
        except DataError as error:
            raise DataError(f"image {image_id!r}: {error}") from error
        group = (groups or {}).get(image_id, image_id)
        rows[image_id] = {"id": image_id, "group": group, **scores, **_gold_facts(gold)}
    columns = ["id", "group", "dice", "iou", "gold_area", "n_lesions", "gold_empty"]
    return pd.DataFrame(list(rows.values()), columns=None if rows else columns)


def _as_batch(mask: npt.NDArray[np.generic], what: str) -> torch.Tensor:
    if mask.dtype != np.bool_ and not np.isin(mask, (0, 1)).all():
        raise DataError(f"expected a {what} of 0 and 1, got {mask.dtype} with other values; threshold it first")
    return torch.from_numpy(np.ascontiguousarray(mask, dtype=np.bool_))[None]


def _scores(pred: BoolMask, gold: BoolMask, class_names: Sequence[str] | None) -> dict[str, float]:
    dice, iou = dice_iou(pred, gold)
    names = class_names or [f"class{index}" for index in range(len(dice))]
    if len(names) != len(dice):
        raise DataError(f"expected masks of {len(names)} classes ({', '.join(names)}), got {len(dice)}")
    scores = {"dice": float(dice.mean()), "iou": float(iou.mean())}
    if len(names) > 1:
        scores |= {f"dice_{name}": float(value) for name, value in zip(names, dice, strict=True)}
        scores |= {f"iou_{name}": float(value) for name, value in zip(names, iou, strict=True)}
    return scores


def _gold_facts(gold: BoolMask) -> dict[str, object]:
    gold = gold.astype(bool)
    return {"gold_area": area_fraction(gold), "n_lesions": count_lesions(gold), "gold_empty": not gold.any()}
