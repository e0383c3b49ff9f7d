"""Studies: methods x label fractions x seeds on one fixed test set, and what their figures say."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelmine.studies.results import StudyResults
    from labelmine.studies.statistics import EqualFraction, equal_fraction, summarise_study

__all__ = ["EqualFraction", "StudyResults", "equal_fraction", "summarise_study"]

_MODULES = {"StudyResults": "results"}


def __getattr__(name: str) -> Any:
    """Import what figures need (MONAI) on demand: a process that only runs cells starts at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'statistics')}"), name)
