"""``configs/synthesize.yaml``: candidates, the test that admits them, and the set that they make with the gold."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from monai.transforms import CropForegroundd
from torch import Tensor
from tqdm import tqdm

from labelmine.atomic import write_whole
from labelmine.data import ImageSet, Item
from labelmine.data.listings import PARTS
from labelmine.data.united_masks import mask_files
from labelmine.errors import ConfigError, DataError
from labelmine.evaluation import write_table
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.prediction import predict
from labelmine.synthesis import (
    Generator,
    Recipe,
    admit,
    generator_views,
    gold_of_generator,
    make_candidates,
    write_candidates,
)
from labelmine.workflows.feature_networks import FeatureNetwork
from labelmine.workflows.generator_training import gold_digests
from labelmine.workflows.schedule import SavedStudent
from labelmine.workflows.training import student_loader, view_dataset

logger = logging.getLogger(__name__)

CANDIDATES, TABLE, DATASET = "candidates", "candidates.csv", "dataset.csv"
LESION_MARGIN = 0.1  # of the side: what an inpainted lesion is compared with its neighbours by


class CandidateStage:
    """Make candidates with the trained generator and write them into ``candidates/``; goes on where it stopped.

    Args:
        folder: The run's folder.
        generator_file: The generator's file.
        images: The image set.
        recipe: How.
        image_size: Side of the squares that the run asks for.
        kinds: Kind of each gold image, see ``kinds_of``.
        bfloat16: See ``Generator``.
        device: Where to draw.
    """

    def __init__(
        self,
        folder: str,
        generator_file: str,
        images: ImageSet,
        recipe: Recipe,
        image_size: int,
        kinds: Mapping[str, int],
        bfloat16: bool = False,
        device: str = "cpu",
    ) -> None:
        """Keep what is needed."""
        self.folder = Path(folder).expanduser() / CANDIDATES
        self.generator_file = Path(generator_file).expanduser()
        self.images = images
        self.recipe = recipe
        self.image_size = image_size
        self.kinds = kinds
        self.bfloat16 = bfloat16
        self.device = device

    def __call__(self) -> None:
        """Make what is missing.

        Raises:
            DataError: The generator was trained on other gold than the student has.
            ConfigError: The generator makes images of another size.
        """
        generator = self._generator()
        views = list(generator_views(gold_of_generator(self.images), self.images, generator.image_size))
        path = self.folder / TABLE
        rows = pd.read_csv(path, dtype=str).to_dict("records") if path.is_file() else []
        done = frozenset(row["id"] for row in rows)
        for made in make_candidates(generator.to(self.device), views, self.recipe, self.kinds, done):
            write_candidates(made, self.folder, self.images.classes)
            rows = [row for row in rows if row["id"] not in made.ids]  # a batch that was there in part is made whole
            rows += [{"id": name, "source": source} for name, source in zip(made.ids, made.sources, strict=True)]
            write_table(path, pd.DataFrame(rows))

    def _generator(self) -> Generator:
        generator, told = Generator.load(self.generator_file, self.bfloat16)
        name = self.generator_file.name
        if generator.image_size != self.image_size:
            raise ConfigError(
                f"{name} makes images of {generator.image_size} px, the run asks for {self.image_size}. Give "
                f"--generator_size {generator.image_size}, or train another generator (leave out --generator_file)"
            )
        own = gold_digests(self.images)
        if told.get("trained_on") != own:
            other = set(told.get("trained_on", [])) ^ set(own)
            raise DataError(
                f"{name} was trained on other gold than this run's student has ({len(other)} images differ), so a "
                "comparison would not be fair. Give the --split_file of the run that trained it, or train another "
                "(leave out --generator_file)"
            )
        return generator


class AdmissionStage:
    """Examine candidates, and put those that may join into ``images/`` and ``masks/`` of the run's folder.

    Writes ``candidates.csv`` (verdict and figures of each) and ``dataset.csv``: the gold with its splits and the
    admitted, which train with their masks, or are unlabelled where they were made without.

    Args:
        folder: The run's folder.
        images: The image set.
        student: Trained on the same gold; asked what it sees. None where images are made without masks.
        teacher: Asked, by the masks' prompts, what it sees; None: the student alone is asked.
        features: Feature network of the copy test.
        generator_size: Side of the generator's squares.
        view_size: Side of the student's view.
        inpaint: Whether backgrounds are real: copies are then told by the lesion and what is near it.
        exclusive: Whether classes exclude each other.
        min_agreement: See ``admit``.
        copy_quantile: See ``admit``.
        batch_size: Images at a time.
        device: Where student and teacher look.
    """

    def __init__(
        self,
        folder: str,
        images: ImageSet,
        student: SavedStudent | None,
        teacher: PromptedLabeler | None,
        features: FeatureNetwork,
        generator_size: int,
        view_size: int,
        inpaint: bool = False,
        exclusive: bool = False,
        min_agreement: float = 0.7,
        copy_quantile: float = 0.05,
        batch_size: int = 8,
        device: str = "cpu",
    ) -> None:
        """Keep what is needed."""
        self.folder = Path(folder).expanduser()
        self.images = images
        self.student = student
        self.teacher = teacher
        self.features = features
        self.generator_size = generator_size
        self.view_size = view_size
        self.inpaint = inpaint
        self.exclusive = exclusive
        self.min_agreement = min_agreement
        self.copy_quantile = copy_quantile
        self.batch_size = batch_size
        self.device = device

    def __call__(self) -> None:
        """Examine all candidates, copy the admitted, list them beside the gold."""
        table = pd.read_csv(self.folder / CANDIDATES / TABLE, dtype=str)
        items = made_items(self.folder / CANDIDATES, table["id"], masks=self.student is not None)
        masks, opinions = self._opinions(items, self.student) if self.student else (None, {})
        made, real = self._features(items), self._features(gold_of_generator(self.images))
        verdict = admit(masks, opinions, made, real, self.min_agreement, self.copy_quantile)
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
        loader = student_loader(view_dataset(items, self.images, self.view_size), self.batch_size, shuffle=False)
        masks: list[Tensor] = []
        seen: dict[str, list[Tensor]] = {
            name: [] for name in ("the student", *(["the teacher"] if self.teacher else []))
        }
        for batch in tqdm(loader, desc="examine", unit="batch"):
            view = {key: batch[key].to(self.device) for key in ("image", "label", "weight")}
            masks.append(batch["label"])
            seen["the student"].append(predict(student, view, self.exclusive).cpu())
            if self.teacher:
                seen["the teacher"].append(self.teacher(view, _drawn(view["label"], self.exclusive)).mask.cpu())
        return torch.cat(masks), {name: torch.cat(parts) for name, parts in seen.items()}

    def _features(self, items: Sequence[Item]) -> Tensor:
        views = generator_views(items, self.images, self.generator_size)
        crop = _lesion if self.inpaint else _whole
        return self.features(torch.stack([(crop(view) + 1) / 2 for view in views]))

    def _list(self, admitted: Sequence[Item]) -> None:
        """Write ``dataset.csv``; paths are relative to it, so that it says nothing of whose folders they are."""
        gold = {item["image"]: item for part in ("train", "val", "test") for item in getattr(self.images, part)}
        rows = [
            {
                "id": Path(item["image"]).stem if "frame" in item else item["id"],
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


def admitted_items(folder: str | Path) -> list[Item]:
    """Return what a run admitted, as items that train, or as unlabelled ones where there are no masks."""
    root = Path(folder).expanduser()
    table = pd.read_csv(root / TABLE, dtype={"id": str})
    return made_items(root, table.loc[table["accepted"] == 1, "id"], masks="agreement" in table)


def any_admitted(folder: str) -> bool:
    """Whether a run admitted anything; if not, says what to try, as a second student would learn nothing new."""
    found = bool(admitted_items(folder))
    if not found:
        logger.warning(
            "no made image was admitted, so there is nothing to train on: look at report/rejected.png; train the "
            "generator longer (--generator_epochs), make more (--count), or ask for less (--min_agreement)"
        )
    return found


def made_items(folder: Path, names: Iterable[str], masks: bool) -> list[Item]:
    """Return made images of a folder, each a group of its own."""
    items = []
    for name in names:
        item = Item(id=name, image=str(folder / "images" / f"{name}.png"), group=name, split="unlabeled", made=True)
        if masks:
            item |= {"label": str(folder / "masks" / f"{name}.png"), "split": "train"}
        items.append(item)
    return items


def mixed_items(images: ImageSet, folder: str) -> list[Item]:
    """Return the gold that trains, and the made pairs that were admitted."""
    return images.train + admitted_items(folder)


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
