"""How good is a label? Signals, their calibration to expected Dice, and the gate that decides who labels."""

from labelmine.quality.drawn_by import DrawnBy
from labelmine.quality.expected_dice import Calibration, ExpectedDice
from labelmine.quality.gate import SOURCES, Gate, area_fraction, blended, decide, uncompared_gate
from labelmine.quality.signals import AreaRange, agreement, as_table, class_dice, label_signals
from labelmine.quality.verdict import Verdict

__all__ = [
    "SOURCES",
    "AreaRange",
    "Calibration",
    "DrawnBy",
    "ExpectedDice",
    "Gate",
    "Verdict",
    "agreement",
    "area_fraction",
    "as_table",
    "blended",
    "class_dice",
    "decide",
    "label_signals",
    "uncompared_gate",
]
