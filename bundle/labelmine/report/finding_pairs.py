"""What was assumed while images were read, for pages."""

from __future__ import annotations

from collections.abc import Sequence

from labelmine.data.findings import Finding
from labelmine.report.page import Pairs


def finding_pairs(findings: Sequence[Finding]) -> Pairs:
    """What was assumed, with the number of files and the first of them."""
    rows = [(row.sentence, file_words(row.count, row.examples)) for row in findings]
    return Pairs("What was assumed, and which knob says otherwise", rows, words=True)


def file_words(number: int, examples: Sequence[str]) -> str:
    """``4: a.png, b.png, c.png, ...``; nothing without examples."""
    if not examples:
        return ""
    return f"{number}: {', '.join(examples)}{', ...' if number > len(examples) else ''}"
