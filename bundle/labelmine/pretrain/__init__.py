"""Self-supervised warm start of the student's encoder: SimCLR on images without masks."""

from labelmine.pretrain.contrast import PartnerContrast, partner_similarities
from labelmine.pretrain.simclr import ENCODER_FORMAT, SimCLR
from labelmine.pretrain.views import RandomViews

__all__ = ["ENCODER_FORMAT", "PartnerContrast", "RandomViews", "SimCLR", "partner_similarities"]
