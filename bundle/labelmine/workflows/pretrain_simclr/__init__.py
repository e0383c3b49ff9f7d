"""``configs/pretrain_simclr.yaml``: a warm start of a student's encoder from images alone."""

from labelmine.workflows.pretrain_simclr.pretraining import Pretraining, PretrainKnobs

__all__ = ["PretrainKnobs", "Pretraining"]
