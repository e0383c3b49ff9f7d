"""What was assumed or noticed while an image set was read: a line each for the log, the doctor and the report."""

from __future__ import annotations

from dataclasses import dataclass

EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """One assumption, or one oddity, with the files that it holds for.

    Attributes:
        kind: Short stable key, for example ``levels`` or ``pairing``.
        sentence: What was assumed, and which knob says otherwise; the same for all files.
        count: Files that it holds for.
        examples: The first of them, relative to the image set.
    """

    kind: str
    sentence: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """Return the line that people read."""
        if not self.examples:
            return self.sentence
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.sentence} ({self.count}: {', '.join(self.examples)}{more})"


class Findings:
    """Collects findings; what holds for many files is said once, with their number and the first names.

    Example:
        >>> findings = Findings()
        >>> for name in ("a.png", "b.png", "c.png", "d.png"):
        ...     findings.note("levels", "grey edges were cut at half of the range", name)
        >>> print(*findings.rows())
        grey edges were cut at half of the range (4: a.png, b.png, c.png, ...)
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._files: dict[tuple[str, str], list[str]] = {}

    def note(self, kind: str, sentence: str, example: str = "") -> None:
        """Add a finding; equal ones of several files are joined. Threads may call it at once."""
        self._files.setdefault((kind, sentence), []).append(example)

    def rows(self) -> list[Finding]:
        """Return what was found, in order of first appearance."""
        return [
            Finding(kind, sentence, len(files), tuple(sorted(filter(None, files))[:EXAMPLES]))
            for (kind, sentence), files in self._files.items()
        ]
