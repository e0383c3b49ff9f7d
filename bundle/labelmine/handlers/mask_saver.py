"""Write an evaluator's predictions as mask files at the images' original size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor

from labelmine.data import Item, LabelStore
from labelmine.transforms import to_original


class MaskSaver:
    """Write each image's mask as soon as its batch is predicted; a run that was killed goes on with the rest.

    Args:
        store: Where masks and their manifest go.
        items: Items of the evaluator's images.
        record: What the manifest should say of each mask, for example ``{"drawn_by": "student"}``.
        probabilities: Whether the probabilities are written, too.
    """

    def __init__(
        self,
        store: LabelStore,
        items: Sequence[Item],
        record: Mapping[str, Any] | None = None,
        probabilities: bool = False,
    ) -> None:
        """Look items up by id."""
        self.store = store
        self.probabilities = probabilities
        self.items = {item["id"]: item for item in items}
        self.record = dict(record or {})

    def attach(self, engine: Engine) -> None:
        """Write after each batch, and the manifest's table and the volumes at the end."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.finish)

    def __call__(self, engine: Engine) -> None:
        """Write the masks of ``engine.state.output["pred"]``, probabilities (B, K, S, S)."""
        batch = engine.state.batch
        for row, (image_id, size, probability) in enumerate(
            zip(batch["id"], batch["original_size"], engine.state.output["pred"], strict=True)
        ):
            whole = to_original(probability.cpu(), (int(size[0]), int(size[1])))
            mask, kept = whole > 0.5, self.stated(row, whole).numpy() if self.probabilities else None
            facts = self.beside(self.items[image_id], row, mask)
            record = {"accepted": True, **self.record, **facts}
            self.store.write(self.items[image_id], mask.numpy(), record, probability=kept)

    def stated(self, row: int, probability: Tensor) -> Tensor:
        """Return the probabilities (K, H, W) that are written of an image: those that the mask was cut of."""
        return probability

    def beside(self, item: Item, row: int, mask: Tensor) -> Mapping[str, Any]:
        """Write what goes beside a mask, before it, and return what else the manifest should say of it; nothing here.

        Args:
            item: Whose mask it is.
            row: Its place in the batch.
            mask: (K, H, W) bool at the original size.
        """
        return {}

    def finish(self, engine: Engine) -> None:
        """Write ``manifest.csv`` and join slices to volumes."""
        self.store.finish(self.items.values())
