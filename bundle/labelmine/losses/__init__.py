"""Losses that MONAI does not have."""

from labelmine.losses.promptable import PromptableLoss
from labelmine.losses.weighted import WeightedBCEDiceLoss

__all__ = ["PromptableLoss", "WeightedBCEDiceLoss"]
