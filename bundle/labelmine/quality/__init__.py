"""How good is a label? Signals, their calibration to expected Dice, and the gate that decides who labels."""

from labelmine.quality.drawn_by import DrawnBy
from labelmine.quality.expected_dice import Calibration, ExpectedDice
from labelmine.quality.gate import SOURCES, Gate, area_fraction, blended, decide, uncompared_gate
from labelmine.quality.pixel_calibration import PixelCalibration, count_logits, expected_dice
from labelmine.quality.signals import AreaRange, agreement, as_table, class_dice, label_signals
from labelmine.quality.verdict import Verdict

__all__ = [
    "SOURCES",
    "AreaRange",
    "Calibration",
    "DrawnBy",
    "ExpectedDice",
    "Gate",
    "PixelCalibration",
    "Verdict",
    "agreement",
    "area_fraction",
    "as_table",
    "blended",
    "class_dice",
    "count_logits",
    "decide",
    "expected_dice",
    "label_signals",
    "uncompared_gate",
]
