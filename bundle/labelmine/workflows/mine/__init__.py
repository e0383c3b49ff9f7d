"""``configs/mine.yaml``: train on gold, label what has no gold, train on both, keep a student."""

from labelmine.workflows.mine.knobs import MineKnobs
from labelmine.workflows.mine.mining import Mining

__all__ = ["MineKnobs", "Mining"]
