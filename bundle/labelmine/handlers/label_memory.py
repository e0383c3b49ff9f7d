"""Where pseudo labels stay between labelling and training: in memory, or in files that a killed run finds again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from labelmine.data import Item, LabelStore
from labelmine.errors import DataError
from labelmine.labelers import PseudoLabel
from labelmine.quality import DrawnBy
from labelmine.transforms import StudentView, teacher_images, to_original

PackedLabel = tuple[Tensor, Tensor, list[int]]  # bits of the mask, weight (1 or S * S values), shape (K, S, S)


class LabelMemory(Protocol):
    """Pseudo labels of views by image id."""

    @property
    def done(self) -> set[str]:
        """Ids of the images that have their label."""
        ...

    def add(self, batch: Mapping[str, Any], label: PseudoLabel) -> None:
        """Take up the labels of a batch; ``batch["id"]`` names its images."""
        ...

    def get(self, image_id: str) -> tuple[Tensor, Tensor]:
        """Return mask (K, S, S) and weight (1, S, S) of an image's view, float32 in [0, 1]."""
        ...


class InMemory:
    """Labels in RAM, packed (one bit a pixel and class; weights of 16 bits): for trainers that need no files."""

    def __init__(self) -> None:
        """Start empty."""
        self._labels: dict[str, PackedLabel] = {}

    @property
    def done(self) -> set[str]:
        """Ids of the images that have their label."""
        return set(self._labels)

    def add(self, batch: Mapping[str, Any], label: PseudoLabel) -> None:
        """Take up the labels of a batch."""
        for image_id, mask, weight in zip(batch["id"], label.mask.cpu(), label.weight.cpu(), strict=True):
            bits = torch.from_numpy(np.packbits(mask.numpy() > 0.5))
            uniform = bool((weight == weight.flatten()[0]).all())
            trust = weight.flatten()[:1] if uniform else weight.flatten()
            self._labels[image_id] = (bits, trust.half(), list(mask.shape))

    def get(self, image_id: str) -> tuple[Tensor, Tensor]:
        """Return the label of an image's view."""
        if image_id not in self._labels:
            raise DataError(f"{image_id}: no pseudo label. The loader of unlabelled images must hold each of them.")
        bits, trust, (classes, height, width) = self._labels[image_id]
        mask = np.unpackbits(bits.numpy(), count=classes * height * width).reshape(classes, height, width)
        weight = trust.float().reshape(1, height, width) if len(trust) > 1 else trust.float().expand(1, height, width)
        return torch.from_numpy(mask).float(), weight.clone()

    def state_dict(self) -> dict[str, PackedLabel]:
        """Return all labels, for a checkpoint."""
        return dict(self._labels)

    def load_state_dict(self, state: Mapping[str, PackedLabel]) -> None:
        """Take up the labels of a checkpoint."""
        self._labels = dict(state)


class InFiles:
    """Labels in a ``LabelStore``, at the images' original size; read back into the view when they are needed.

    What is trained on is thus always what the files hold, also after a resume.

    Args:
        store: The label store.
        items: Items that may be labelled.
        view: The view that labels were made in and are trained in.
        student_sha256: Returns the hash of the student's file, which labels are replayed with; asked when the first
            label is written.
        tta: Whether the student answered with its mean over flips and turns, see ``TestTimeAverage``.
        probabilities: Whether what labels were cut of is written, too.
    """

    def __init__(
        self,
        store: LabelStore,
        items: Sequence[Item],
        view: StudentView,
        student_sha256: Callable[[], str] | None = None,
        tta: bool = False,
        probabilities: bool = False,
    ) -> None:
        """Keep the store and look items up by id."""
        self.probabilities = probabilities
        self.store = store
        self.items = {item["id"]: item for item in items}
        self.view = view
        self._hash = student_sha256
        self._tta = tta
        self._student: dict[str, str | bool] | None = None

    @property
    def done(self) -> set[str]:
        """Ids of the images that have their label."""
        return self.store.done

    def add(self, batch: Mapping[str, Any], label: PseudoLabel) -> None:
        """Write the labels of a batch; ``batch["original_size"]`` (B, 2) says at which size."""
        for index, image_id in enumerate(batch["id"]):
            size = (int(batch["original_size"][index][0]), int(batch["original_size"][index][1]))
            whole = to_original(label.mask[index].cpu(), size).numpy()
            weight = label.weight[index].cpu()
            uniform = bool((weight == weight.flatten()[0]).all())
            refusal = label.refusal[index]
            record = {
                **label.source,
                **self._origin(),
                "drawn_by": ",".join(label.drawn_by[index] if label.drawn_by else [DrawnBy.LABELER]),
                "score": round(float(label.score[index]), 4),
                "accepted": bool(label.accepted[index]),
                "reason": "" if refusal is None else refusal.reason.value,
                "explanation": "" if refusal is None else str(refusal),
                "weight": round(float(weight.amax()), 4),
                "prompts": label.prompts[index],
                "signals": {name: round(float(value[index]), 4) for name, value in label.signals.items()},
                "view_size": self.view.image_size,
                "teacher_size": int(teacher_images(batch).shape[-1]),
            }
            pixels = None if uniform else to_original(weight, size)[0].numpy()
            kept = whole if self.probabilities else None
            self.store.write(self.items[image_id], whole > 0.5, record, pixels, kept)

    def _origin(self) -> dict[str, str | bool]:
        if self._student is None:
            self._student = {} if self._hash is None else {"student_sha256": self._hash(), "tta": self._tta}
        return self._student

    def get(self, image_id: str) -> tuple[Tensor, Tensor]:
        """Return the label of an image's view."""
        mask, weight = self.store.read(self.items[image_id])
        label = torch.from_numpy(mask).float()
        pixels = torch.as_tensor(weight).float().expand(1, *label.shape[1:])
        view = self.view({"image": torch.zeros(3, *label.shape[1:]), "label": label, "weight": pixels})
        return view["label"], view["weight"]
