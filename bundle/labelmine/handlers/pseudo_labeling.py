"""Pseudo labelling inside any trainer: unlabelled images get their labels before the step that trains on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from tqdm import tqdm

from labelmine.errors import ConfigError
from labelmine.handlers.label_memory import InMemory, LabelMemory
from labelmine.labelers import Labeler
from labelmine.labelers.base import StudentNetwork

Schedule = Literal["one_time", "continuous"]
KEYS = ("image", "label", "is_labeled", "id")


class PseudoLabeling:
    """Fill the unlabelled rows of each batch with pseudo labels.

    Batches must hold plain (not augmented) views with ``image``, ``label`` (zeros where unknown), ``is_labeled`` (B,)
    bool and ``id``; ``weight`` (B, 1, H, W) is made where it is missing. Augmentation comes after this handler.

    Args:
        labeler: Who labels.
        student: The network that the labeler may consult.
        loader: Batches of all unlabelled images; needed for ``one_time``.
        schedule: ``one_time``: label all once, when the trainer starts. ``continuous``: label at each visit.
        pseudo_weight: Factor in [0, 1] that scales the weight of pseudo labels (S1 scales their loss down).
        memory: Where one-time labels are kept; in RAM by default.

    Raises:
        ConfigError: When a knob is out of range or ``one_time`` has no loader.
    """

    def __init__(
        self,
        labeler: Labeler,
        student: StudentNetwork,
        loader: Iterable[Mapping[str, Any]] | None = None,
        schedule: Schedule = "one_time",
        pseudo_weight: float = 1.0,
        memory: LabelMemory | None = None,
    ) -> None:
        """Check and keep the knobs."""
        if schedule not in ("one_time", "continuous"):
            raise ConfigError(f"schedule: expected 'one_time' or 'continuous'. Got: '{schedule}'")
        if not 0 <= pseudo_weight <= 1:
            raise ConfigError(f"pseudo_weight: expected a factor in [0, 1]. Got: {pseudo_weight}")
        if schedule == "one_time" and loader is None:
            raise ConfigError("schedule 'one_time' labels all images first: give it the loader of unlabelled images.")
        self.labeler = labeler
        self.student = student
        self.loader = loader
        self.schedule = schedule
        self.pseudo_weight = pseudo_weight
        self.memory = memory if memory is not None else InMemory()
        self._labelled = False

    def attach(self, engine: Engine) -> None:
        """Label when ``engine`` starts (one-time) and fill each batch as it arrives."""
        if self.schedule == "one_time":
            engine.add_event_handler(Events.STARTED, self.label_all)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self.fill)

    def label_all(self, engine: Engine | None = None) -> None:
        """Label every image of the loader that has no label yet; a second call does nothing."""
        if self._labelled:
            return
        device = _device_of(self.student)
        for batch in tqdm(self.loader or [], desc="pseudo labels", unit="batch"):
            done = self.memory.done
            rows = [i for i, image_id in enumerate(batch["id"]) if image_id not in done]
            if rows:
                todo = _to(_rows(batch, torch.tensor(rows)), device)
                self.memory.add(todo, self.labeler(todo, self.student))
        self._labelled = True

    def fill(self, engine: Engine) -> None:
        """Fill ``label`` and ``weight`` of the unlabelled rows of the batch that ``engine`` is about to see.

        Rows whose label abstains everywhere leave the batch, since not every loss heeds ``weight``; only a batch of
        nothing else keeps them.
        """
        batch = engine.state.batch
        missing = [key for key in KEYS if key not in batch]
        if missing:
            raise ConfigError(
                f"batch: pseudo labelling expected the keys {', '.join(KEYS)}. Missing: {', '.join(missing)}"
            )
        weight = batch.get("weight", torch.ones_like(batch["image"][:, :1]))
        rows = torch.nonzero(~torch.as_tensor(batch["is_labeled"], dtype=torch.bool)).flatten()
        if len(rows):
            mask, trust = self._labels(_rows(batch, rows))
            label, weight = batch["label"].clone(), weight.clone()
            if mask.shape[1:] != label.shape[1:]:
                expected, got = tuple(label.shape[1:]), tuple(mask.shape[1:])
                raise ConfigError(
                    f"pseudo label of {batch['id'][int(rows[0])]}: expected the shape of 'label', {expected}. "
                    f"Got: {got}. The labeler must be made for the trainer's classes and views."
                )
            label[rows] = mask.to(label)
            weight[rows] = weight[rows] * trust.to(weight) * self.pseudo_weight
            batch["label"] = label
        batch["weight"] = weight
        kept = torch.nonzero((weight > 0).flatten(1).any(1)).flatten()
        if 0 < len(kept) < len(weight):
            engine.state.batch = {**batch, **_rows(batch, kept)}

    def _labels(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        if self.schedule == "continuous":
            answer = self.labeler(_to(batch, _device_of(self.student)), self.student)
            return (answer.mask > 0.5).float(), answer.weight
        masks, weights = zip(*(self.memory.get(image_id) for image_id in batch["id"]), strict=True)
        return torch.stack(masks), torch.stack(weights)


def _rows(batch: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    size = len(batch["image"])
    chosen: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Tensor) and len(value) == size:
            chosen[key] = value[rows.to(value.device)]
        elif isinstance(value, list | tuple) and len(value) == size:
            chosen[key] = [value[i] for i in rows.tolist()]
    return chosen


def _to(batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def _device_of(student: StudentNetwork) -> torch.device:
    parameter = next(student.parameters(), None) if isinstance(student, torch.nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
