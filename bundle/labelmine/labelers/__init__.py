"""Labelers: interchangeable sources of pseudo labels."""

from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.build import build_prompted_labeler, build_trusted_labeler
from labelmine.labelers.features import FeatureMap
from labelmine.labelers.gated import GatedLabeler
from labelmine.labelers.prompted import PromptedLabeler
from labelmine.labelers.recorded import RecordedLabeler, recorded_folder
from labelmine.labelers.reference import ReferenceLabeler, Vote
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.labelers.self_training import SelfLabeler

__all__ = [
    "FeatureMap",
    "GatedLabeler",
    "Labeler",
    "PromptedLabeler",
    "PseudoLabel",
    "Reason",
    "RecordedLabeler",
    "ReferenceLabeler",
    "Refusal",
    "SelfLabeler",
    "Vote",
    "build_prompted_labeler",
    "build_trusted_labeler",
    "recorded_folder",
]
