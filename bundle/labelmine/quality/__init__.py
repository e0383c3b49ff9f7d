"""How good is a label? Signals, their calibration to expected Dice, and the gate that decides who labels."""

from labelmine.quality.signals import agreement

__all__ = ["agreement"]
