"""What held-out gold taught about a labeler: who draws, how good it is, and how that is kept in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.checksums import require_sound
from labelmine.errors import DataError
from labelmine.quality.expected_dice import ExpectedDice
from labelmine.quality.gate import Gate
from labelmine.quality.signals import AreaRange, as_table, label_signals


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All that a ``GatedLabeler`` goes by.

    Attributes:
        gate: Who draws which class.
        expected_dice: From signals to expected Dice; None where gold was too little to learn it.
        area_range: How large objects are in gold.
        empty_dice: Expected Dice of an empty label: on how many of the held-out images where nothing was drawn gold
            shows nothing either. 0 where that was too seldom to tell, as in sets that show an object in every image.
        setting: Of the labeler, which did best of those that it offers; see ``Labeler.answers``.
        source: The labeler that was examined: name, teacher, hash; a verdict says nothing of another one.
    """

    gate: Gate
    expected_dice: ExpectedDice | None
    area_range: AreaRange
    source: Mapping[str, str]
    empty_dice: float = 0.0
    setting: float = 0.0

    def signals(self, label: Tensor, probability: Tensor, others: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return all signals (B,) of labels (B, K, H, W): those of ``label_signals`` and a labeler's ``others``."""
        return {**label_signals(label, probability, self.area_range), **others}

    def score(self, signals: dict[str, Tensor], fallback: Tensor) -> Tensor:
        """Return expected Dice (B,); ``fallback``, the labeler's own score, where none could be learnt."""
        if self.expected_dice is None:
            return fallback
        return torch.from_numpy(self.expected_dice(as_table(signals))).to(fallback)

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        content = {
            "gate": self.gate.to_json(),
            "expected_dice": self.expected_dice.to_json() if self.expected_dice else None,
            "area_range": asdict(self.area_range),
            "source": dict(self.source),
            "empty_dice": self.empty_dice,
            "setting": self.setting,
        }
        write_whole(path, json.dumps(content, indent=1).encode())

    @classmethod
    def load(cls, path: Path) -> Verdict:
        """Read what ``save`` wrote.

        Raises:
            DataError: When the file is missing or damaged.
        """
        require_sound(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            learnt, area = content["expected_dice"], content["area_range"]
            return cls(
                gate=Gate.from_json(content["gate"]),
                expected_dice=ExpectedDice.from_json(learnt) if learnt else None,
                area_range=AreaRange(tuple(area["low"]), tuple(area["high"])),
                source=content["source"],
                empty_dice=content["empty_dice"],
                setting=content.get("setting", 0.0),  # verdicts of older versions: nothing was chosen
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path.name}: no verdict of the gate can be read there ({error!r}). Run mine.yaml into this folder "
                "again, or label without a gate (--gate false)."
            ) from error
