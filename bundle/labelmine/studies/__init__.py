"""Studies: methods x label fractions x seeds on one fixed test set, and the page that says whether mining helps."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelmine.studies.report import write_study
    from labelmine.studies.results import StudyResults
    from labelmine.studies.statistics import EqualFraction, equal_fraction, summarise_study

__all__ = ["EqualFraction", "StudyResults", "equal_fraction", "summarise_study", "write_study"]

_MODULES = {"write_study": "report", "StudyResults": "results"}


def __getattr__(name: str) -> Any:
    """Import what the page needs (MONAI, matplotlib) on demand: a process that only runs cells starts at once."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'statistics')}"), name)
