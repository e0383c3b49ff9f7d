"""Files of one patient stay together, where folders or names show patients."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data import prepare_image_set
from labelmine.data.case_groups import BY_FOLDER, BY_NAME, EACH, case_groups
from labelmine.data.findings import Findings


def grouped(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Groups of files of which nothing is known, and what was said."""
    findings = Findings()
    names = list(names)
    return case_groups(names, names, findings), [row.sentence for row in findings.rows()]


def made(template: str, *counts: int) -> list[str]:
    return [template.format(*numbers) for numbers in product(*map(range, counts))]


@pytest.mark.parametrize(
    ("names", "group", "count", "said"),
    [
        (made("TCGA_CS_49{0}/TCGA_CS_49{0}_{1}", 12, 3), "TCGA_CS_490", 12, BY_FOLDER),
        (made("kaggle/p{}/slice_{}", 12, 3), "kaggle/p0", 12, BY_FOLDER),
        (made("p{}/study{}/{}", 12, 2, 2), "p0", 12, BY_FOLDER),
        (made("clinic{}/p{}/{}", 3, 5, 2), "clinic0/p0", 15, BY_FOLDER),
        (made("patient{:02d}_slice_{:03d}", 12, 3), "patient00", 12, BY_NAME),
        (made("case{}-frame{}", 12, 3), "case0", 12, BY_NAME),
        (made("BraTS_00{}_t1_{}", 12, 3), "BraTS_000_t1", 12, BY_NAME),
        (made("p{} ({})", 12, 3), "p0", 12, BY_NAME),
        (made("benign/p{}_z{}", 12, 3), "benign/p0", 12, BY_NAME),
        ([f"bus_{n:04d}-{side}" for n in range(20) for side in ("l", "r")[: 1 + n % 2]], "bus_0000", 20, BY_NAME),
    ],
)
def test_cases_are_joined(names: list[str], group: str, count: int, said: str) -> None:
    groups, sentences = grouped(names)
    assert groups[0] == group
    assert len(set(groups)) == count
    assert sentences == [said]


@pytest.mark.parametrize(
    "names",
    [
        made("{:04d}", 100),
        made("ISIC_{:07d}", 100),
        made("benign ({})", 100),
        made("CHNCXR_{:04d}_1", 100),
        made("cju{}qk{}", 20, 5),
        [f"{kind}/{number}" for kind in ("benign", "malignant", "normal") for number in range(50)],
        made("case{}/image", 40),
        [f"bus_{n:04d}-l" for n in range(40)],
        [*made("lot/x{}", 60), *made("p{}/y{}", 9, 2)],  # one folder holds more than a fifth
    ],
)
def test_what_shows_no_cases_stays(names: list[str]) -> None:
    groups, _ = grouped(names)
    assert groups == names


@pytest.mark.parametrize("template", ["p{}/{}", "p{}_{}"])
def test_few_cases_are_said(template: str) -> None:
    names = made(template, 6, 4)
    assert grouped(names) == (names, [EACH])


def test_what_is_known_stands() -> None:
    names = made("p{}/{}", 12, 3)
    known = ["of DICOM" if name.startswith("p0/") else name for name in names]
    groups = case_groups(names, known, Findings())
    assert groups[:4] == ["of DICOM", "of DICOM", "of DICOM", "p1"]


def test_no_patient_is_on_both_sides_of_a_split(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    for name, folder in product(made("p{:02d}_slice_{}", 12, 3), ("images", "masks")):
        (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(drawn.integers(0, 256, (8, 8), dtype=np.uint8)).resize((32, 32))
        (noise if folder == "images" else noise.point(lambda value: 255 * (value > 128))).save(
            tmp_path / "set" / folder / f"{name}.png"
        )
    images = prepare_image_set(str(tmp_path / "set"), str(tmp_path / "run"))
    sides = [{item["id"].split("_")[0] for item in items} for items in (images.train, images.val, images.test)]
    assert all(sides)
    assert len(set().union(*sides)) == sum(map(len, sides)) == 12
    assert any(finding.sentence == BY_NAME for finding in images.findings)
