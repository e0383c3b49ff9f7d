"""A labeler of your own: anything that turns images into labels takes part in mining.

    uv run python examples/own_labeler.py

This one marks what is brighter than Otsu's threshold, and refuses images in which that is more than half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from skimage.filters import threshold_otsu
from torch import Tensor

from labelmine.labelers import Labeler, PseudoLabel, Reason, Refusal
from labelmine.networks import StudentNetwork


# --- labeler
class OtsuLabeler(Labeler):
    """Mark what is brighter than Otsu's threshold; the student is not asked."""

    name = "otsu"

    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        grey = batch["image"].mean(1, keepdim=True)  # (B, 1, H, W) in [0, 1]
        mask = torch.stack([(image > threshold_otsu(image.cpu().numpy())).float() for image in grey])
        accepted = mask.mean((1, 2, 3)) < 0.5
        return PseudoLabel(
            mask=mask,
            weight=torch.ones_like(grey) * accepted.reshape(-1, 1, 1, 1),
            score=torch.full((len(grey),), 0.5),  # not known: the gate learns what such labels are worth
            accepted=accepted,
            refusal=[None if one else Refusal(Reason.UNSURE) for one in accepted],
            source=self.source,
            prompts=[[] for _ in grey],
        )


# --- run
def label_two_images() -> PseudoLabel:
    """Label one image with a bright square and one that is mostly bright."""
    images: Tensor = torch.zeros(2, 3, 64, 64)
    images[0, :, 16:32, 16:32] = 1
    images[1, :, 8:, :] = 1
    return OtsuLabeler()({"image": images, "id": ["square", "field"]}, student=torch.nn.Identity())


if __name__ == "__main__":
    label = label_two_images()
    print("accepted:", label.accepted.tolist(), "pixels:", label.mask.sum((1, 2, 3)).tolist())
