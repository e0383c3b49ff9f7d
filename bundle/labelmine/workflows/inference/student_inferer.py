"""How MONAI's evaluator applies a student to a batch of views without gold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.labelers import PromptedLabeler
from labelmine.networks import ClassStudent, RememberedLooks, Student
from labelmine.prediction import Predictor
from labelmine.transforms import asked_part


def prepare_views(
    batch: Mapping[str, Any], device: torch.device | str, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None, tuple[()], dict[str, Tensor]]:
    """``prepare_batch`` of an evaluator without gold: images, and what else of their views the inferer takes."""
    views = asked_part(batch, device)
    return views.pop("image"), None, (), views


class StudentInferer(Inferer):  # type: ignore[misc]  # MONAI is untyped
    """Probabilities (B, K, S, S) of a student, alone or refined by a teacher.

    Args:
        image_size: Side of the student's view in pixels.
        refine: A labeler whose teacher refines what the student finds; None: the student alone.
        tta: Whether the student answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
        batch_size: Slices of a volume at a time.
        runtime: The same student as another program runs it, which is asked instead.
        remember: Whether the student looks eight times, whichever answer counts, and ``looks`` tells of it.
    """

    def __init__(
        self,
        image_size: int,
        refine: PromptedLabeler | None = None,
        tta: bool = False,
        batch_size: int = 8,
        runtime: ClassStudent | None = None,
        remember: bool = False,
    ) -> None:
        """Keep them."""
        super().__init__()
        self.image_size = image_size
        self.refine = refine
        self.tta = tta
        self.batch_size = batch_size
        self.runtime = runtime
        self.remember = remember
        self._looks: RememberedLooks | None = None
        self._count = 0

    def __call__(self, inputs: Tensor, network: Student, *args: Any, **kwargs: Tensor) -> Tensor:
        """Predict a batch of views; ``kwargs`` are the rest of them, ``weight`` (B, 1, S, S) 0 in the padding.

        Files (B, N, 3, S, S) of N slices, as ``ViewsOfFiled`` reads them, get (B, N, K, S, S).
        """
        if inputs.ndim == 5:
            parts = inputs.flatten(0, 1).split(self.batch_size)
            return torch.cat([self(part, network) for part in parts]).unflatten(0, inputs.shape[:2])
        predictor = Predictor(network, self.image_size, self.refine, self.tta, self.runtime)
        if self.remember:
            predictor.network = self._looks = RememberedLooks(self.runtime or network, self.tta)
            self._count = len(inputs)
        return predictor.probabilities({"image": inputs, **kwargs})

    def looks(self) -> tuple[Tensor, Tensor]:
        """Return mean and spread (B, K, S, S) of the student's eight looks at the last batch.

        Raises:
            ConfigError: There are none to tell of.
        """
        if self._looks is None:
            raise ConfigError("expected an inferer that remembers looks (remember=True) and has answered a batch")
        mean, spread = self._looks.mean_and_spread()
        return mean[: self._count], spread[: self._count]  # a single image was doubled, see ``predict``
