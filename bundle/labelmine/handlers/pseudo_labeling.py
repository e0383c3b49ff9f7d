"""Pseudo labelling inside any trainer: unlabelled images get their labels before the step that trains on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.handlers.label_memory import InMemory, LabelMemory
from labelmine.handlers.schedule import Schedule
from labelmine.labelers import Labeler, PseudoLabel
from labelmine.networks import StudentNetwork
from labelmine.progress import progress
from labelmine.ranges import check_number
from labelmine.ranks import own_batches

Observer = Callable[[Mapping[str, Any], PseudoLabel], None]
KEYS = ("image", "label", "is_labeled", "id")
ONE_TIME = Schedule()


class PseudoLabeling:
    """Fill the unlabelled rows of each batch with pseudo labels.

    Batches must hold plain (not augmented) views with ``image``, ``label`` (zeros where unknown), ``is_labeled`` (B,)
    bool and ``id``; ``weight`` (B, 1, H, W) is made where it is missing. Augmentation comes after this handler.
    Several ranks (see ``labelmine.ranks``) share the images of ``label_all``, which then needs a memory in files; in
    ``continuous`` each labels the rows of its own batches.

    Args:
        labeler: Who labels.
        student: The network that the labeler may consult.
        loader: Batches of all unlabelled images; needed for ``one_time``.
        schedule: When images are labelled.
        pseudo_weight: Factor in [0, 1] that scales the weight of pseudo labels (S1 scales their loss down).
        memory: Where labels are kept; in RAM by default. ``continuous`` keeps none where it labels at every visit.
        observers: Called with batch and answer whenever the labeler was asked, for example ``LabelQuality``.
        device: Where the labeler works; None: where the student's parameters are.

    Raises:
        ConfigError: When a knob is out of range or ``one_time`` has no loader.
    """

    def __init__(
        self,
        labeler: Labeler,
        student: StudentNetwork,
        loader: Iterable[Mapping[str, Any]] | None = None,
        schedule: Schedule = ONE_TIME,
        pseudo_weight: float = 1.0,
        memory: LabelMemory | None = None,
        *,
        observers: Sequence[Observer] = (),
        device: torch.device | str | None = None,
    ) -> None:
        """Check and keep the knobs."""
        check_number("pseudo_weight", pseudo_weight, 0, 1)
        if not schedule.continuous and loader is None:
            raise ConfigError("schedule 'one_time' labels all images first: give it the loader of unlabelled images.")
        self.memory = memory if memory is not None else InMemory()
        if schedule.relabel_every > 1 and not isinstance(self.memory, InMemory):
            # Files hold the labels of an epoch that a kill broke off: the resumed run would read what it has not made.
            raise ConfigError("relabel_every > 1 keeps labels in the checkpoint: give it an InMemory, or no memory.")
        in_ram = isinstance(self.memory, InMemory)
        if idist.get_world_size() > 1 and (schedule.relabel_every > 1 or (loader is not None and in_ram)):
            raise ConfigError(
                f"{idist.get_world_size()} ranks share labels through files only, this asks for labels in the memory "
                "of each: give relabel_every 1, and for 'one_time' a memory InFiles."
            )
        self.labeler = labeler
        self.student = student
        self.loader = loader
        self.schedule = schedule
        self.pseudo_weight = pseudo_weight
        self.observers = tuple(observers)
        self.device = _device_of(student) if device is None else torch.device(device)
        self._labelled = False
        self._visits: Counter[str] = Counter()

    def attach(self, engine: Engine) -> None:
        """Label when ``engine`` starts (one-time) and fill each batch as it arrives."""
        if self.schedule.continuous:
            engine.add_event_handler(Events.EPOCH_STARTED, self._prepare)
        else:
            engine.add_event_handler(Events.STARTED, self.label_all)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self.fill)

    def label_all(self, engine: Engine | None = None) -> None:
        """Label every image of the loader that has no label yet; a second call does nothing.

        Several ranks share the batches, and none returns before all have labelled theirs.
        """
        if self._labelled:
            return
        self._prepare()
        batches = own_batches(self.loader or [])
        done = self.memory.done
        for batch in progress(batches, "pseudo labels", "batch"):
            rows = [i for i, image_id in enumerate(batch["id"]) if image_id not in done]
            if rows:
                chosen = _rows(batch, torch.tensor(rows))
                self.memory.add(chosen, self._ask(chosen))
        idist.barrier()
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
            mask, trust = self._labels(_rows(batch, rows), engine.state.epoch)
            label, weight = batch["label"].clone(), weight.clone()
            if mask.shape[1:] != label.shape[1:]:
                expected, got = tuple(label.shape[1:]), tuple(mask.shape[1:])
                raise ConfigError(
                    f"pseudo label of {batch['id'][int(rows[0])]}: expected the shape of 'label', {expected}. "
                    f"Got: {got}. The labeler must be made for the trainer's classes and views."
                )
            label[rows] = mask.to(label)
            factor = self.pseudo_weight * self.schedule.risen(engine.state.epoch)
            weight[rows] = weight[rows] * trust.to(weight) * factor
            batch["label"] = label
        batch["weight"] = weight
        kept = torch.nonzero((weight > 0).flatten(1).any(1)).flatten()
        if 0 < len(kept) < len(weight):
            engine.state.batch = {**batch, **_rows(batch, kept)}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs: visits and labels, where labels outlive their visit."""
        if not isinstance(self.memory, InMemory) or self.schedule.relabel_every == 1:
            return {}
        return {"visits": dict(self._visits), "labels": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up visits and labels of an earlier run."""
        if state and isinstance(self.memory, InMemory):
            self._visits = Counter(state["visits"])
            self.memory.load_state_dict(state["labels"])

    def _prepare(self, engine: Engine | None = None) -> None:
        """Let a labeler take up the student as it is now."""
        self.labeler.prepare(self.student)

    def _labels(self, batch: Mapping[str, Any], epoch: int) -> tuple[Tensor, Tensor]:
        """Return masks (B, K, S, S) and weights (B, 1, S, S) of unlabelled rows."""
        if self.schedule.waits(epoch):
            return torch.zeros_like(batch["label"]), torch.zeros_like(batch["image"][:, :1])
        if self.schedule.at_each_visit:
            answer = self._ask(batch)
            return answer.mask if self.schedule.soft else (answer.mask > 0.5).float(), answer.weight
        if self.schedule.continuous:
            self._relabel(batch)
        masks, weights = zip(*(self.memory.get(image_id) for image_id in batch["id"]), strict=True)
        return torch.stack(masks), torch.stack(weights)

    def _relabel(self, batch: Mapping[str, Any]) -> None:
        """Count a visit of each row and label anew what is due."""
        due = []
        for row, image_id in enumerate(batch["id"]):
            if self._visits[image_id] % self.schedule.relabel_every == 0:
                due.append(row)
            self._visits[image_id] += 1
        if due:
            chosen = _rows(batch, torch.tensor(due))
            self.memory.add(chosen, self._ask(chosen))

    def _ask(self, batch: Mapping[str, Any]) -> PseudoLabel:
        """Ask the labeler about plain views, and tell the observers."""
        answer = self.labeler(_to(batch, self.device), self.student)
        for observer in self.observers:
            observer(batch, answer)
        return answer


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
