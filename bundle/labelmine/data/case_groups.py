"""Files of one patient, told by a folder of their own or by names that differ in their last number or side alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath

from labelmine.data.findings import Findings

#: With fewer cases a folder is rather a class, a clinic or a split than a patient.
MIN_CASES = 10
MIN_FILES = 1.25  # of a case, in the mean
MAX_SHARE = 0.2  # of all files in one case
#: ``patient01_slice_12``, ``case3-frame7``, ``TCGA_4941 (3)``, ``bus_0001-l``: before the last number, or the side of
#: the body, stands what has a number too.
_NUMBERED = re.compile(
    r"(?P<case>.*\d.*?)[_\-. ]+(?:(?:[a-z]{1,6}[_\- ]?)?\(?\d+\)?|l|r|left|right|od|os)", re.IGNORECASE
)

BY_FOLDER = (
    "files of one folder were taken for one patient's, and stay in one split; a CSV with a column `group` says "
    "otherwise"
)
BY_NAME = (
    "files whose names differ in their last number, or side, alone were taken for one patient's, and stay in one "
    "split; a CSV with a column `group` says otherwise"
)
EACH = (
    "each file counts as a patient's own, and may be in another split than its neighbours; where those of a folder, or "
    "of names that differ in the last number alone, are one patient's, say so in a CSV with a column `patient_id`"
)


def case_groups(names: Sequence[str], groups: Sequence[str], findings: Findings) -> list[str]:
    """Return the groups of files, joined where folders or names show cases of several files.

    Groups that are too large cost a split little, a patient on both sides of it makes the exam worthless: so cases are
    joined wherever there are at least ten, of 1.25 files or more in the mean, and none holds more than a fifth of all.
    Of folders in folders the outermost that say so count. Where there are fewer, a folder may as well be a class or a
    clinic: then each file stays alone, which is said.

    Args:
        names: Id of each file: its path without suffix.
        groups: What is known; where it is the name, nothing is.
        findings: Receives what was assumed.

    Example:
        >>> names = [f"p{case}/{slice}" for case in range(10) for slice in range(2)]
        >>> case_groups(names, names, Findings())[:3]
        ['p0', 'p0', 'p1']
    """
    alone = [name for name, group in zip(names, groups, strict=True) if name == group]
    depth = max((len(PurePosixPath(name).parts) for name in alone), default=0)
    ways: list[tuple[str, Callable[[str], str]]] = [
        *((BY_FOLDER, partial(_folder, depth=level)) for level in range(1, depth)),
        (BY_NAME, _case),
    ]
    for sentence, key in ways:
        if _shows_cases(Counter(map(key, alone))):
            cases = {name: key(name) for name in alone}
            for case in dict.fromkeys(cases.values()):
                findings.note("groups", sentence, case)
            return [
                cases.get(name, group) if name == group else group for name, group in zip(names, groups, strict=True)
            ]
    if any(_may_be_cases(Counter(map(key, alone))) for _, key in ways):
        findings.note("groups", EACH)
    return list(groups)


def _folder(name: str, depth: int) -> str:
    return "/".join(PurePosixPath(name).parts[:-1][:depth])


def _case(name: str) -> str:
    """Return a name without its last number, or side; the name itself where no number is left."""
    path = PurePosixPath(name)
    numbered = _NUMBERED.fullmatch(path.name)
    return str(path.with_name(numbered["case"])) if numbered else name


def _shows_cases(files: Counter[str]) -> bool:
    total = files.total()
    return len(files) >= MIN_CASES and total >= MIN_FILES * len(files) and max(files.values()) <= MAX_SHARE * total


def _may_be_cases(files: Counter[str]) -> bool:
    """Whether there are several with a number in their name, of several files each."""
    several = [case for case, count in files.items() if count > 1 and any(sign.isdigit() for sign in case)]
    return len(several) > 1 and len(several) > len(files) / 2
