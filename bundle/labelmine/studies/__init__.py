"""Studies: methods x label fractions x seeds on one fixed test set, and the page that says whether mining helps."""

from labelmine.studies.report import write_study
from labelmine.studies.results import StudyResults
from labelmine.studies.statistics import EqualFraction, equal_fraction, summarise_study

__all__ = ["EqualFraction", "StudyResults", "equal_fraction", "summarise_study", "write_study"]
