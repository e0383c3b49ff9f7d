"""Pages that people read: of a run, a study and a synthesis, and the kit that they are made of.

A page is `Page` with its `Section` and their parts (`Text`, `Notes`, `Table`, `Pairs`, `Plot`, `Cases`, `Sheet` ...);
`write_page` writes it as one file that needs no network and runs no script, `as_markdown` gives its words and tables.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labelmine.report.glossary import glossary_section
from labelmine.report.markdown import as_markdown
from labelmine.report.page import (
    CasePictures,
    Cases,
    Code,
    Columns,
    Fold,
    Glossary,
    Key,
    Notes,
    Page,
    Pairs,
    Part,
    Picture,
    Plot,
    Section,
    Sheet,
    Stack,
    Table,
    Text,
)
from labelmine.report.redaction import without_folders

if TYPE_CHECKING:
    from labelmine.report.context import GateSummary, PseudoLabelSummary, ReportContext
    from labelmine.report.pictures import case_keys, case_pictures, class_keys, embed, thumbnails
    from labelmine.report.rendering import render, write_page
    from labelmine.report.run import write_report
    from labelmine.report.study import write_study
    from labelmine.report.synthesis import SynthesisReport, write_synthesis_page
    from labelmine.report.uncertainty import Doubt, UncertaintyReport, write_uncertainty_page

__all__ = [
    "CasePictures",
    "Cases",
    "Code",
    "Columns",
    "Doubt",
    "Fold",
    "GateSummary",
    "Glossary",
    "Key",
    "Notes",
    "Page",
    "Pairs",
    "Part",
    "Picture",
    "Plot",
    "PseudoLabelSummary",
    "ReportContext",
    "Section",
    "Sheet",
    "Stack",
    "SynthesisReport",
    "Table",
    "Text",
    "UncertaintyReport",
    "as_markdown",
    "case_keys",
    "case_pictures",
    "class_keys",
    "embed",
    "glossary_section",
    "render",
    "thumbnails",
    "without_folders",
    "write_page",
    "write_report",
    "write_study",
    "write_synthesis_page",
    "write_uncertainty_page",
]

_MODULES = {
    **dict.fromkeys(("GateSummary", "PseudoLabelSummary", "ReportContext"), "context"),
    **dict.fromkeys(("case_keys", "case_pictures", "class_keys", "embed", "thumbnails"), "pictures"),
    **dict.fromkeys(("render", "write_page"), "rendering"),
    "write_report": "run",
    "write_study": "study",
    **dict.fromkeys(("SynthesisReport", "write_synthesis_page"), "synthesis"),
    **dict.fromkeys(("Doubt", "UncertaintyReport", "write_uncertainty_page"), "uncertainty"),
}


def __getattr__(name: str) -> Any:
    """Import what draws and measures (matplotlib, pandas, MONAI) on demand: naming this room costs next to nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
