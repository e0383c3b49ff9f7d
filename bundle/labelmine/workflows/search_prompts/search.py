"""Which prompts suit a set and a teacher? Try them on gold (``configs/search_prompts.yaml``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from labelmine.data import Item
from labelmine.errors import DataError
from labelmine.evaluation import write_table
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.prediction import predict
from labelmine.networks import IndirectStudent, StudentNetwork
from labelmine.prediction import compare
from labelmine.progress import progress
from labelmine.prompts import PromptGenerator
from labelmine.teachers import Teacher
from labelmine.teachers.image_key import ImageKey, image_key
from labelmine.transforms import asked_part, to_original
from labelmine.workflows.search_prompts.searched_gold import SearchedGold
from labelmine.workflows.search_prompts.settings import PromptSetting, SearchSpace
from labelmine.workflows.search_prompts.winner import write_winner

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
Trials = dict[PromptSetting, pd.DataFrame]

PER_IMAGE, STUDENT = "trials_per_image.csv", "student"
DIGITS = 6  # of Dice, in the file and in memory: a resumed search compares the very numbers of an undisturbed one


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How prompts are tried and compared.

    Attributes:
        generator: Further knobs of ``PromptGenerator``, the same in all settings: ``seed``, ``min_size`` ...
        exclusive: Whether classes exclude each other.
        min_score: Labels of a lower score count as not accepted; all count in the Dice that decides.
        max_trials: Largest number of settings for which all are tried.
        seed: Of the bootstrap.
        device: Where to work.
    """

    generator: Mapping[str, Any] = field(default_factory=dict)
    exclusive: bool = False
    min_score: float = 0.5
    max_trials: int = 40
    seed: int = 0
    device: torch.device | str = "cpu"


class PromptSearch:
    """Compare prompts by the Dice of the labels that they bring, on images with gold, at original size.

    The student predicts each image once, the teacher encodes each once (where it has a cache); a setting then costs
    prompts and decoder. Up to ``max_trials`` settings all are tried; beyond that the search goes along one knob after
    the other, twice, always from the best setting so far (coordinate descent), which finds no pair of knobs that help
    only together.

    Each finished setting enters ``trials_per_image.csv``, and a search that was killed goes on behind the last one.

    Args:
        teacher: The teacher.
        student: Who prompts it.
        gold: What is searched on.
        folder: Where the results go.
        space: What is tried.
        options: How.

    Raises:
        DataError: No images, or results of other images in the folder.
    """

    def __init__(
        self,
        teacher: Teacher,
        student: StudentNetwork,
        gold: SearchedGold,
        folder: str | Path,
        space: SearchSpace,
        options: SearchOptions | None = None,
    ) -> None:
        """Keep what is needed; nothing is tried yet."""
        if not gold.items:
            raise DataError(f"{gold.images.name}: expected images with gold to search on, found none")
        self.teacher = teacher
        self.student = RememberedStudent(student)
        self.gold = gold
        self.folder = Path(folder).expanduser()
        self.space = space
        self.options = options or SearchOptions()
        self._tables: dict[str, pd.DataFrame] = {}

    @torch.no_grad()
    def __call__(self) -> PromptSetting:
        """Search, write the results and return the setting that is kept."""
        self._tables = self._finished()
        student = self._table(STUDENT, self._student_masks)
        every = self.space.grid()
        exhaustive = len(every) <= self.options.max_trials
        method = "all settings" if exhaustive else "one knob after the other, two rounds"
        logger.info("%d possible settings, max_trials %d: %s", len(every), self.options.max_trials, method)
        trials = {self.space.default: self._tried(self.space.default)}
        if exhaustive:
            trials |= {setting: self._tried(setting) for setting in every}
        else:
            self._descend(trials)
        return write_winner(self.folder, self.gold.images, trials, student, self.teacher, method, self.options.seed)

    def _descend(self, trials: Trials) -> None:
        best = self.space.default
        for _ in range(2):
            for name in self.space.values:
                for setting in self.space.along(name, best):
                    trials[setting] = self._tried(setting)
                best = max(self.space.along(name, best), key=lambda setting: trials[setting]["dice"].mean())

    def _tried(self, setting: PromptSetting) -> pd.DataFrame:
        kinds, knobs = list(setting.kinds), setting.knobs()
        del knobs["prompt_kinds"]
        prompts = PromptGenerator(kinds, **{**self.options.generator, **knobs})
        labeler = PromptedLabeler(self.teacher, prompts, self.options.exclusive, self.options.min_score)

        def answer(batch: Batch) -> tuple[Tensor, Tensor]:
            label = labeler(batch, self.student)
            return label.mask, label.accepted

        with mask_choice(self.teacher, setting.multimask):
            return self._table(setting.name, answer)

    def _student_masks(self, batch: Batch) -> tuple[Tensor, Tensor]:
        mask = predict(self.student, batch, self.options.exclusive)
        return mask, (mask > 0.5).flatten(1).any(1)

    def _table(self, name: str, answer: Callable[[Batch], tuple[Tensor, Tensor]]) -> pd.DataFrame:
        """Return ``id``, ``group``, ``dice`` and ``accepted`` of each image; measured now, or by an earlier run."""
        if name not in self._tables:
            accepted: list[bool] = []
            table = compare(self._masks(name, answer, accepted), self.gold.images)[["id", "group", "dice"]]
            table = table.assign(dice=table["dice"].round(DIGITS), accepted=accepted)
            self._tables[name] = table
            rows = pd.concat([one.assign(trial=trial) for trial, one in self._tables.items()])
            write_table(self.folder / PER_IMAGE, rows[["trial", "id", "group", "dice", "accepted"]])
            logger.info("trial %d, %s: Dice %.4f", len(self._tables) - 1, name, table["dice"].mean())
        return self._tables[name]

    def _masks(
        self, name: str, answer: Callable[[Batch], tuple[Tensor, Tensor]], accepted: list[bool]
    ) -> Iterator[tuple[Item, Any]]:
        rest = iter(self.gold.items)
        for batch in progress(self.gold.loader, name, "batch", leave=False):
            masks, good = answer(asked_part(batch, self.options.device))
            accepted += good.tolist()
            for mask, size in zip(masks.cpu(), batch["original_size"].tolist(), strict=True):
                yield next(rest), (to_original(mask, (size[0], size[1])) > 0.5).numpy()

    def _finished(self) -> dict[str, pd.DataFrame]:
        """Return what an earlier, killed run has measured."""
        path = self.folder / PER_IMAGE
        if not path.is_file():
            return {}
        ids = [item["id"] for item in self.gold.items]
        rows = pd.read_csv(path, dtype={"id": str, "group": str}, keep_default_na=False)
        rows["dice"] = rows["dice"].round(DIGITS)  # exact again, whatever the reader made of the last bit
        tables = {str(n): t.drop(columns="trial").reset_index(drop=True) for n, t in rows.groupby("trial", sort=False)}
        if any(table["id"].tolist() != ids for table in tables.values()):
            raise DataError(f"{path}: holds a search on other images. Give another --output_dir, or delete the file")
        logger.info("%d settings are done already", len(tables) - (STUDENT in tables))
        return tables


class RememberedStudent(IndirectStudent):
    """A student that predicts each view once; its logits are kept by the image's content, in memory."""

    def __init__(self, student: StudentNetwork) -> None:
        """Put a network into evaluation mode."""
        self._student = student.eval() if isinstance(student, nn.Module) else student
        self._known: dict[ImageKey, Tensor] = {}

    @property
    def student(self) -> StudentNetwork:
        """The network itself."""
        return self._student

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, K, S, S) of (B, 3, S, S) images in [0, 1]."""
        keys = [image_key(image) for image in images]
        if any(key not in self._known for key in keys):
            self._known |= dict(zip(keys, self.student(images).cpu(), strict=True))
        return torch.stack([self._known[key] for key in keys]).to(images.device)


@contextmanager
def mask_choice(teacher: Teacher, multimask: bool | None) -> Iterator[None]:
    """Let a teacher take the best of three masks, or its single one, for a while; None: as it is."""
    before = teacher.multimask
    try:
        if multimask is not None:
            teacher.multimask = multimask
        yield
    finally:
        teacher.multimask = before
