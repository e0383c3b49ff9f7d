"""``configs/synthesize.yaml``: labelled images made by diffusion, admitted by a test, kept if they help."""

from labelmine.workflows.synthesize.feature_networks import FeatureNetwork, build_feature_network
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.synthesis import Synthesis

__all__ = ["FeatureNetwork", "Synthesis", "SynthesizeKnobs", "build_feature_network"]
