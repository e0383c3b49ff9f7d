"""What a class is called in DICOM: coded terms, by the knob ``segments``, by name, or, where neither says, "Tissue"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelmine.errors import ConfigError

Term = tuple[str, str, str]  # code value, coding scheme, meaning

TISSUE: Term = ("85756007", "SCT", "Tissue")
_ABNORMAL: Term = ("49755003", "SCT", "Morphologically Abnormal Structure")
_ANATOMY: Term = ("91723000", "SCT", "Anatomical Structure")
#: Categories (CID 7150) and types of classes that are called so, in SNOMED CT as PS3.16 lists them.
_KNOWN: dict[str, tuple[Term, Term]] = {
    **dict.fromkeys(("lesion", "lesions"), (_ABNORMAL, ("52988006", "SCT", "Lesion"))),
    **dict.fromkeys(("tumor", "tumour", "neoplasm"), (_ABNORMAL, ("108369006", "SCT", "Neoplasm"))),
    "mass": (_ABNORMAL, ("4147007", "SCT", "Mass")),
    "nodule": (_ABNORMAL, ("27925004", "SCT", "Nodule")),
    "cyst": (_ABNORMAL, ("367643001", "SCT", "Cyst")),
    **{
        name: (_ANATOMY, (code, "SCT", name.capitalize()))
        for name, code in {
            "brain": "12738006",
            "breast": "76752008",
            "heart": "80891009",
            "hippocampus": "5366008",
            "kidney": "64033007",
            "liver": "10200004",
            "lung": "39607008",
            "pancreas": "15776009",
            "prostate": "41216001",
            "spleen": "78961009",
            "stomach": "69695003",
        }.items()
    },
}
#: RGB of segments, in their order: a colour-blind's palette (Okabe and Ito 2008).
_COLORS = ((213, 94, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (0, 114, 178), (230, 159, 0))
_FORM = "{lesion: {type: [52988006, SCT, Lesion], category: [49755003, SCT, Morphologically Abnormal Structure]}}"


@dataclass(frozen=True)
class SegmentTerms:
    """Coded terms of a class.

    Attributes:
        category: What kind of thing it is (CID 7150).
        type: What it is (CID 7151).
        anatomy: Where in the body (CID 4); None: not said.
    """

    category: Term = TISSUE
    type: Term = TISSUE
    anatomy: Term | None = None


def segment_terms(names: Sequence[str], given: Mapping[str, Any]) -> list[SegmentTerms]:
    """Return the terms of classes.

    Args:
        names: Names of the classes.
        given: By name of a class: ``type``, ``category`` and ``anatomy``, each ``[code, scheme, meaning]``. What is not
            given is known by the class's name, as for "lesion" and some organs, or is "Tissue", as in 3D Slicer.

    Raises:
        ConfigError: A class that is not there, or a term of another form.

    Example:
        >>> segment_terms(["liver", "thing"], {"liver": {"anatomy": [818981001, "SCT", "Abdomen"]}})[0].anatomy
        ('818981001', 'SCT', 'Abdomen')
    """
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ConfigError(f"segments: the masks have no class {', '.join(unknown)}; they have {', '.join(names)}")
    return [_terms(name, given.get(name) or {}) for name in names]


def color_of(number: int) -> tuple[int, int, int]:
    """RGB, 0 to 255, in which viewers are to show a segment, counted from 1."""
    return _COLORS[(number - 1) % len(_COLORS)]


def _terms(name: str, given: Any) -> SegmentTerms:
    category, kind = _KNOWN.get(name.casefold(), (TISSUE, TISSUE))
    known = {"category": category, "type": kind, "anatomy": None}
    if not isinstance(given, Mapping) or set(given) - set(known):
        raise ConfigError(f"segments: {name}: expected type, category and anatomy, as {_FORM}. Got: {given!r}")
    return SegmentTerms(**{**known, **{part: _term(name, part, value) for part, value in given.items()}})  # type: ignore[arg-type]


def _term(name: str, part: str, value: Any) -> Term:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise ConfigError(f"segments: {name}: {part}: expected [code, scheme, meaning], as {_FORM}. Got: {value!r}")
    code, scheme, meaning = (str(one).strip() for one in value)
    return code, scheme, meaning
