"""Prompts and what makes them: from a probability map, or simulated from gold."""

from labelmine.prompts.generation import PromptGenerator
from labelmine.prompts.prompts import Prompts
from labelmine.prompts.simulation import PromptSimulator, components, jitter_box, outer_box

__all__ = ["PromptGenerator", "PromptSimulator", "Prompts", "components", "jitter_box", "outer_box"]
