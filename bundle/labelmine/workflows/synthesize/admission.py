"""The test that admits candidates, and the set that they make with the gold."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from monai.transforms import CropForegroundd
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.data import Item
from labelmine.data.items import volume_id
from labelmine.data.listings import PARTS
from labelmine.data.united_masks import mask_files
from labelmine.evaluation import write_table
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.prediction import predict
from labelmine.prediction import SavedStudent
from labelmine.progress import progress
from labelmine.synthesis import admit, generator_views, gold_of_generator
from labelmine.training import TrainingTask
from labelmine.workflows.synthesize.feature_networks import FeatureNetwork
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.made_items import CANDIDATES, DATASET, TABLE, admitted_items, made_items

logger = logging.getLogger(__name__)

LESION_MARGIN = 0.1  # of the side: what an inpainted lesion is compared with its neighbours by


class AdmissionStage:
    """Examine candidates, and put those that may join into ``images/`` and ``masks/`` of the run's folder.

    Writes ``candidates.csv`` (verdict and figures of each) and ``dataset.csv``: the gold with its splits and the
    admitted, which train with their masks, or are unlabelled where they were made without.

    Args:
        task: Folder and images.
        student: Trained on the same gold; asked what it sees. None where images are made without masks.
        teacher: Asked, by the masks' prompts, what it sees; None: the student alone is asked.
        features: Feature network of the copy test.
    """

    def __init__(
        self,
        task: TrainingTask[SynthesizeKnobs],
        student: SavedStudent | None,
        teacher: PromptedLabeler | None,
        features: FeatureNetwork,
    ) -> None:
        """Keep what is needed."""
        self.task = task
        self.knobs = task.knobs
        self.folder = task.folder.path
        self.images = task.images
        self.student = student
        self.teacher = teacher
        self.features = features

    def __call__(self) -> None:
        """Examine all candidates, copy the admitted, list them beside the gold."""
        table = pd.read_csv(self.folder / CANDIDATES / TABLE, dtype=str)
        items = made_items(self.folder / CANDIDATES, table["id"], masks=self.student is not None)
        masks, opinions = self._opinions(items, self.student) if self.student else (None, {})
        made, real = self._features(items), self._features(gold_of_generator(self.images))
        verdict = admit(masks, opinions, made, real, self.knobs.min_agreement, self.knobs.copy_quantile)
        figures = {"accepted": verdict.accepted.int(), "agreement": verdict.agreement, "distance": verdict.distance}
        figures = figures if self.student else {k: v for k, v in figures.items() if k != "agreement"}
        table = table.assign(**{k: v.numpy() for k, v in figures.items()}, reason=verdict.reason)
        admitted = [item for item, accepted in zip(items, verdict.accepted.tolist(), strict=True) if accepted]
        for path in (Path(path) for item in admitted for path in (item["image"], item.get("label")) if path):
            write_whole(self.folder / path.parent.name / path.name, path.read_bytes())
        write_table(self.folder / TABLE, table)
        self._list(admitted_items(self.folder))
        logger.info("%d of %d candidates admitted", len(admitted), len(items))

    @torch.no_grad()
    def _opinions(self, items: Sequence[Item], student: SavedStudent) -> tuple[Tensor, dict[str, Tensor]]:
        """Return masks (N, K, S, S) in the student's view, and what student and teacher see there."""
        loader = self.task.batches(items, shuffle=False)
        masks: list[Tensor] = []
        seen: dict[str, list[Tensor]] = {
            name: [] for name in ("the student", *(["the teacher"] if self.teacher else []))
        }
        for batch in progress(loader, "examine", "batch"):
            view = {key: batch[key].to(self.knobs.device) for key in ("image", "label", "weight")}
            masks.append(batch["label"])
            seen["the student"].append(predict(student, view, self.task.exclusive).cpu())
            if self.teacher:
                seen["the teacher"].append(self.teacher(view, _drawn(view["label"], self.task.exclusive)).mask.cpu())
        return torch.cat(masks), {name: torch.cat(parts) for name, parts in seen.items()}

    def _features(self, items: Sequence[Item]) -> Tensor:
        views = generator_views(items, self.images, self.knobs.generator_size)
        crop = _lesion if self.knobs.inpaint else _whole
        return self.features(torch.stack([(crop(view) + 1) / 2 for view in views]))

    def _list(self, admitted: Sequence[Item]) -> None:
        """Write ``dataset.csv``; paths are relative to it, so that it says nothing of whose folders they are."""
        gold = {item["image"]: item for part in ("train", "val", "test") for item in getattr(self.images, part)}
        rows = [
            {
                "id": volume_id(item),
                "image": os.path.relpath(item["image"], self.folder.absolute()),
                "label": PARTS.join(os.path.relpath(p, self.folder.absolute()) for p in _gold_files(item)),
                "group": item["group"],
                "split": item["split"],
            }
            for item in (*gold.values(), *admitted)
        ]
        write_table(self.folder / DATASET, pd.DataFrame(rows))


def _gold_files(item: Item) -> list[Path]:
    return mask_files(item, item["label"]) if "label" in item else []


def _whole(view: Mapping[str, Any]) -> Tensor:
    image: Tensor = view["image"]
    return image


def _lesion(view: Mapping[str, Any]) -> Tensor:
    """Return the lesion with what is near it, as large as the whole view; the view itself where there is none."""
    image: Tensor = view["image"]
    if not bool((view["label"] > 0).any()):
        return image
    margin = round(LESION_MARGIN * image.shape[-1])
    cropped = CropForegroundd(keys="image", source_key="label", margin=margin, allow_smaller=True)
    part = torch.as_tensor(cropped({"image": image, "label": view["label"]})["image"])
    return F.interpolate(part[None], size=image.shape[-2:], mode="bilinear", antialias=True, align_corners=False)[0]


def _drawn(masks: Tensor, exclusive: bool) -> Any:
    """Return a student that answers with given masks: prompts are then drawn from them."""
    logits = (masks * 2 - 1) * 10
    if exclusive:
        logits = torch.cat([(1 - masks.amax(1, keepdim=True)) * 20 - 10, logits], dim=1)
    # One image alone is shown to the student twice, see ``predict``.
    return lambda images: logits.repeat(len(images) // len(logits), 1, 1, 1)
