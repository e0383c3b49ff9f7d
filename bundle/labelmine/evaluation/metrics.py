"""Per-image comparison of thresholded masks with gold, at the image's original size: overlap, lesions, outlines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from monai.metrics import compute_dice, compute_iou

from labelmine.errors import DataError
from labelmine.evaluation.lesions import lesion_facts
from labelmine.evaluation.summary import SIZE_FROM
from labelmine.evaluation.surface import TOLERANCE_MM, Spacing, check_tolerance, surface_scores

BoolMask: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]

COLUMNS = [
    *("id", "group", "dice", "iou", "gold_area", "gold_empty", "n_lesions"),
    *(f"{what}_{size}" for what in ("lesions", "found") for size in SIZE_FROM),
    *("false_lesions", "hd95", "surface_dice"),
]


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


def evaluate_masks(
    pairs: Iterable[tuple[str, BoolMask, BoolMask]],
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    spacings: Mapping[str, Spacing] | None = None,
    tolerance: float = TOLERANCE_MM,
) -> pd.DataFrame:
    """Compare predictions with gold, image by image; the pairs may be a generator, so that one is held at a time.

    Args:
        pairs: ``(id, prediction, gold)``, masks (K, H, W) bool at the image's original size.
        class_names: K names for the per-class columns; ``class0`` ... when absent.
        groups: Patient, video or volume of each id, for honest confidence intervals; each image its own when absent.
        spacings: (row, column) millimetres per pixel of each id where they are known; looked up once a pair is there,
            so that a generator of pairs may fill it.
        tolerance: Deviation of an outline in millimetres that ``surface_dice`` counts as agreement.

    Returns:
        One row per image in the given order: ``id``, ``group``, ``dice`` and ``iou`` (mean over classes),
        ``dice_<class>`` and ``iou_<class>`` where K > 1, ``gold_area`` (fraction of the image), ``gold_empty`` (no
        foreground in any class), what `lesion_facts` counts, and ``hd95`` (mm) and ``surface_dice`` of `surface_scores`
        (mean over classes; for K > 1 also ``hd95_<class>`` and ``surface_dice_<class>``). The last two are NaN where
        spacing is unknown; ``hd95`` also where it is undefined in any class, as a mean over the others would reward a
        prediction for leaving out the hard class.

    Raises:
        ConfigError: A negative or infinite tolerance.
        DataError: For a doubled id, masks that do not fit together, or a wrong number of class names.
    """
    check_tolerance(tolerance)
    rows: dict[str, dict[str, object]] = {}
    for image_id, pred, gold in pairs:
        if image_id in rows:
            raise DataError(f"image {image_id!r} came twice; each image may count once in an evaluation")
        try:
            scores = _scores(pred, gold, class_names, (spacings or {}).get(image_id), tolerance)
        except DataError as error:
            raise DataError(f"image {image_id!r}: {error}") from error
        group = (groups or {}).get(image_id, image_id)
        rows[image_id] = {"id": image_id, "group": group, **scores}
    return pd.DataFrame(list(rows.values()), columns=None if rows else COLUMNS)


def _as_batch(mask: npt.NDArray[np.generic], what: str) -> torch.Tensor:
    if mask.dtype != np.bool_ and not np.isin(mask, (0, 1)).all():
        raise DataError(f"expected a {what} of 0 and 1, got {mask.dtype} with other values; threshold it first")
    return torch.from_numpy(np.ascontiguousarray(mask, dtype=np.bool_))[None]


def _scores(
    pred: BoolMask, gold: BoolMask, class_names: Sequence[str] | None, spacing: Spacing | None, tolerance: float
) -> dict[str, object]:
    dice, iou = dice_iou(pred, gold)
    names = class_names or [f"class{index}" for index in range(len(dice))]
    if len(names) != len(dice):
        raise DataError(f"expected masks of {len(names)} classes ({', '.join(names)}), got {len(dice)}")
    pred, gold = pred.astype(bool), gold.astype(bool)
    facts = {"gold_area": area_fraction(gold), "gold_empty": not gold.any(), **lesion_facts(pred, gold)}
    return {**_by_class(names, dice=dice, iou=iou), **facts, **_surface(pred, gold, names, spacing, tolerance)}


def _surface(
    pred: BoolMask, gold: BoolMask, names: Sequence[str], spacing: Spacing | None, tolerance: float
) -> dict[str, float]:
    if spacing is None:
        return {"hd95": math.nan, "surface_dice": math.nan}
    distance, dice = surface_scores(pred, gold, spacing, tolerance)
    return _by_class(names, hd95=distance, surface_dice=dice)


def _by_class(names: Sequence[str], **measures: FloatArray) -> dict[str, float]:
    """Mean over classes of each measure, then each class where there are several."""
    scores = {measure: float(values.mean()) for measure, values in measures.items()}
    if len(names) > 1:
        for measure, values in measures.items():
            scores |= {f"{measure}_{name}": float(value) for name, value in zip(names, values, strict=True)}
    return scores
