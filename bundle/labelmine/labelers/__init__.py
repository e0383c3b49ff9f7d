"""Labelers: interchangeable sources of pseudo labels."""

from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.prompted import PromptedLabeler
from labelmine.labelers.self_training import SelfLabeler

__all__ = ["Labeler", "PromptedLabeler", "PseudoLabel", "SelfLabeler"]
