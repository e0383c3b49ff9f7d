"""What a review in the browser decided about labels that go out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmine.data import Item
from labelmine.errors import ConfigError
from labelmine.exchange.decisions import DECISIONS_FILE, Decision, DecisionLog
from labelmine.exchange.label_set import EXPERT, LabelledImage
from labelmine.review import REVIEW_FOLDER


class Reviewed:
    """The words that count of a review.

    Args:
        log: The review; None: there was none.
        names: Whether reviewers are named.
    """

    def __init__(self, log: DecisionLog | None, names: bool) -> None:
        """Read the latest word on each image."""
        self.log = log
        self.names = names
        self.decisions: dict[str, Decision] = {} if log is None else log.final()

    @classmethod
    def of_run(cls, run: Path, review_dir: str | None, names: bool) -> Reviewed:
        """Open the review of a run, or another that is named.

        Raises:
            ConfigError: The named folder holds no decisions.
        """
        folder = run / REVIEW_FOLDER if review_dir is None else Path(review_dir).expanduser()
        if (folder / DECISIONS_FILE).is_file():
            return cls(DecisionLog(folder), names)
        if review_dir is not None:
            raise ConfigError(f"review_dir: expected a review folder with {DECISIONS_FILE}. Got: {folder.name}")
        return cls(None, names)

    def rejects(self, image: str) -> bool:
        """Whether a label was rejected."""
        return image in self.decisions and self.decisions[image].verdict == "rejected"

    def label(self, item: Item, record: Mapping[str, Any] | None) -> LabelledImage | None:
        """Return an image with its accepted or corrected mask; None where there is none.

        Raises:
            DataError: The mask was removed or changed.
        """
        decision = self.decisions.get(item["id"])
        if self.log is None or decision is None or decision.verdict not in ("accepted", "corrected"):
            return None
        self.log.mask(decision)
        decided = Item({**item, "label": str(self.log.mask_path(decision.mask_sha256))})
        by = decision.reviewer if self.names else EXPERT
        if decision.verdict == "corrected":
            return LabelledImage(decided, "train", "corrected", reviewed_by=by)
        return LabelledImage(decided, "train", "accepted", drawn_by(record or {}), decision.expected_dice, by)


def drawn_by(record: Mapping[str, Any]) -> str:
    """Return who drew a pseudo label, as the manifest says."""
    return str(record.get("drawn_by") or record.get("labeler", "labeler"))
