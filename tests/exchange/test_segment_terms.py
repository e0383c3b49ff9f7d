from __future__ import annotations

from typing import Any

import pytest
from pydicom.sr.codedict import codes

from labelmine.errors import ConfigError
from labelmine.exchange.segment_terms import _KNOWN, TISSUE, SegmentTerms, segment_terms


def test_terms_by_knob_by_name_and_else_tissue() -> None:
    lesion, mine, other = segment_terms(
        ["Lesion", "mine", "other"], {"mine": {"type": [1, "99LAB", "Mine"], "anatomy": [2, "SCT", "There"]}}
    )
    assert lesion.type[0] == "52988006"
    assert mine == SegmentTerms(TISSUE, ("1", "99LAB", "Mine"), ("2", "SCT", "There"))
    assert other == SegmentTerms(TISSUE, TISSUE, None)


def test_known_terms_are_those_of_the_standard() -> None:
    listed = {(code.value, code.meaning) for name in codes.SCT.dir() for code in [getattr(codes.SCT, name)]}
    used = {term for pair in _KNOWN.values() for term in pair} | {TISSUE}
    assert [term for term in used if (term[0], term[2]) not in listed] == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lung": {}}, r"segments: the masks have no class lung; they have liver"),
        (
            {"liver": {"kind": [1, "SCT", "Liver"]}},
            r"segments: liver: expected type, category and anatomy, as \{lesion",
        ),
        (
            {"liver": {"type": [1, "Liver"]}},
            r"segments: liver: type: expected \[code, scheme, meaning\].*Got: \[1, 'Li",
        ),
        ({"liver": "Liver"}, r"segments: liver: expected type.*Got: 'Liver'"),
    ],
)
def test_other_forms_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        segment_terms(["liver"], given)
