"""Files that are named like images and may be their masks, though no name says so: told, with the knob for it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from labelmine.data.file_names import composed
from labelmine.data.findings import Findings
from labelmine.data.headers import without_suffix
from labelmine.data.mask_pattern import ARROW
from labelmine.data.mask_readings import knob

KIND = "look_alikes"
MIN_FILES = 3
_SEPARATOR = re.compile(r"[_\-. ]+")


def note_look_alikes(
    images: Sequence[PurePosixPath], unused: Iterable[PurePosixPath], is_told: bool, findings: Findings
) -> None:
    """Tell of files that may be masks of others, by their names.

    Args:
        images: Files taken for images.
        unused: Image files in folders that say nothing, which are not used.
        is_told: Whether it is known where masks are; other folders are then not worth a word.
        findings: Receives ``look_alikes``.
    """
    for ending, files in _endings(images).items():
        pattern = knob(f"{{id}} {ARROW} {{id}}{ending}")
        advice = "where they are none, move them out of the folder" if is_told else f"if they are the masks: {pattern}"
        for file in files:
            findings.note(
                KIND,
                f"files named like others with '{ending}' behind were taken for images of their own; {advice}",
                file,
            )
    if is_told:
        return
    names = {composed(without_suffix(path).name): path for path in images}
    by_folder: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for path in unused:
        if composed(without_suffix(path).name) in names:
            by_folder[path.parent].append(path)
    for folder, paths in by_folder.items():
        if len(paths) >= MIN_FILES:
            advice = knob(f"{names[composed(without_suffix(paths[0]).name)].parent}/{{id}} {ARROW} {folder}/{{id}}")
            findings.note(KIND, f"{folder}/ holds files named like the images; if they are the masks: {advice}")


def _endings(images: Sequence[PurePosixPath]) -> dict[str, list[str]]:
    """Return what many files have behind the whole name of another of the same folder, letters in it, and the files."""
    stems = {without_suffix(path) for path in images}
    found: dict[str, list[str]] = defaultdict(list)
    for path in images:
        stem = without_suffix(path)
        for separator in reversed(list(_SEPARATOR.finditer(stem.name))):
            head, ending = stem.name[: separator.start()], stem.name[separator.start() :]
            if head and stem.with_name(head) in stems:
                if re.search(r"[^\W\d_]", ending):
                    found[ending].append(str(path))
                break
    bases = max(1, len(images) - sum(map(len, found.values())))
    return {ending: files for ending, files in found.items() if len(files) >= max(MIN_FILES, bases / 2)}
