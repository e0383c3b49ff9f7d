"""``configs/search_prompts.yaml``: which prompts suit a set and a teacher, tried on validation gold."""

from labelmine.workflows.search_prompts.search import PromptSearch, SearchOptions
from labelmine.workflows.search_prompts.searched_gold import SearchedGold, gold_items, images_of_run, trained_settings
from labelmine.workflows.search_prompts.searching import Searching, SearchKnobs
from labelmine.workflows.search_prompts.settings import PromptSetting, SearchSpace, default_setting

__all__ = [
    "PromptSearch",
    "PromptSetting",
    "SearchKnobs",
    "SearchOptions",
    "SearchSpace",
    "SearchedGold",
    "Searching",
    "default_setting",
    "gold_items",
    "images_of_run",
    "trained_settings",
]
