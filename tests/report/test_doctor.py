from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelmine.data.findings import Finding
from labelmine.data.set_aside import SetAside, reasons_of
from labelmine.evaluation.case import Case
from labelmine.evaluation.image_facts import ImageFacts
from labelmine.report import as_markdown, class_keys, thumbnails
from labelmine.report.doctor import DoctorReport, doctor_page, write_doctor_page
from labelmine.report.doctor_tables import MiningCosts, WeightsVerdict, gigabytes, hours


def facts_of(name: str, first: tuple[float, ...], second: tuple[float, ...], **more: Any) -> ImageFacts:
    areas = (sum(first), sum(second))
    given = {"format": "PNG", "modality": "grey", "size": (10, 20), "areas": areas, "lesions": (first, second)}
    return ImageFacts(id=name, **{**given, **more})


@pytest.fixture
def report() -> DoctorReport:
    gold = np.zeros((2, 10, 20), bool)
    gold[0, 2:5, 3:6] = True
    return DoctorReport(
        dataset="polyps",
        seed=3,
        lines=["4 images"],
        n_images=4,
        facts=[
            facts_of("a", (0.01, 0.05), (0.2,), spacing=(0.5, 0.25)),
            facts_of("b", (0.03,), ()),
            facts_of("c", (), (), format="DICOM", modality="MR"),
            facts_of("d", (), (), areas=(), lesions=()),
        ],
        findings=[Finding("levels", "levels 1 to 2: taken as 2 classes", 1, ()),
                  Finding("pairing", "paired by 'masks/{id}.png'", 4, ("masks/a.png", "masks/b.png", "masks/c.png"))],
        classes=("liver", "tumour"),
        pictures=thumbnails([Case(id="a", image=np.zeros((10, 20, 3)), gold=gold, caption="largest mask")]),
        keys=class_keys(("liver", "tumour")),
        pairs=[("a", "b", 7), ("c", "d", 2)],
        reasons=reasons_of([SetAside("x", "/home/maria/x.png", "x.png: 0 bytes"), SetAside("", "notes/", "no format")]),
        weights=[WeightsVerdict("compact", "research use only", 3, chosen=True), WeightsVerdict("sam", "Apache", None)],
        costs=MiningCosts(seconds={"training": 7200.0, "labelling": 30}, memory=2e9, disk={"students": 5e8}, free=9e9),
        settings={"dataset_dir": "/home/maria/polyps", "seed": 3},
    )  # fmt: skip


def test_the_page_says_all_that_was_found(report: DoctorReport) -> None:
    text = as_markdown(doctor_page(report))
    assert "Yes, this image set can be mined." in text
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    cells = {name: [cell.strip() for cell in line.split("|")[2:-1]] for name, line in rows.items()}
    assert cells["PNG, grey"] == ["3"]
    assert cells["DICOM, MR"] == ["1"]
    assert cells["20 x 10"] == ["4"]
    assert cells["0.5 x 0.25 mm"] == ["1"]
    assert "| liver | 2 of 3 | 3 % | 4.5 % |" in text
    assert "| liver | 3 | 1 | 2 | 0 | 1 % to 5 % |" in text
    assert "| tumour | 1 | 0 | 0 | 1 | 20 % to 20 % |" in text
    assert text.index("| c | d | 2 |") < text.index("| a | b | 7 |"), "the nearest first"
    assert "- paired by 'masks/{id}.png': 4: masks/a.png, masks/b.png, masks/c.png, ..." in text
    assert "- compact (chosen): has seen 3 of these images: figures here would prove nothing" in text
    assert "- sam: keeps no list of the images" in text
    assert "- time in all, at most: 2 h 00 min" in text
    assert "- disk that is free: 9 GB" in text
    assert "- notes/: no format" in text


def test_a_problem_stands_on_top(report: DoctorReport) -> None:
    bare = DoctorReport(dataset="polyps", seed=0, problem='two ways: --mask_pattern "gt/{id}"', files=["gt/*.png"] * 2)
    text = as_markdown(doctor_page(bare))
    assert (
        text.index("labelmine mine would stop here") < text.index('--mask_pattern "gt/{id}"') < text.index("gt/*.png")
    )
    assert "can be mined." not in text
    assert "near-duplicates" not in text.lower(), "they were not looked for"
    unknown = as_markdown(doctor_page(replace(report, classes=(), problem="levels")))
    assert "Classes are not known yet: any value above 0 is outlined." in unknown
    assert "Balance of classes" not in unknown


def test_the_page_is_self_contained_and_names_no_folder(report: DoctorReport, outline: Any, tmp_path: Path) -> None:
    html = write_doctor_page(report, tmp_path / "index.html").read_text(encoding="utf-8")
    page = outline(html)
    page.assert_self_contained()
    assert "maria" not in html
    assert [image["alt"] for image in page.images] == ["a: outlines of class 1"]
    assert {"How it was understood", "Images", "Look at them", "Near-duplicates"} <= set(page.headings)


def test_long_lists_are_bounded(report: DoctorReport) -> None:
    many = [facts_of(f"{n}", (0.1,), (), size=(n + 1, 20)) for n in range(30)]
    pairs = [(f"a{n}", f"b{n}", n) for n in range(40)]
    reasons = reasons_of([SetAside(chr(97 + n), f"{chr(97 + n)}.png", "why " * (n + 1)) for n in range(20)])
    text = as_markdown(doctor_page(replace(report, facts=many, n_images=50, pairs=pairs, reasons=reasons)))
    assert "| 24 others | 24 |" in text
    assert "The nearest 12 of 40 pairs" in text
    assert "8 more reasons, in quarantine.csv" in text
    assert "Of 50 images 30 were looked at, drawn at random." in text


@pytest.mark.parametrize(
    ("form", "value", "shown"),
    [(hours, 59.0, "59 s"), (hours, 3600.0, "1 h 00 min"), (hours, 9000.0, "2 h 30 min"),
     (gigabytes, 1.5e6, "2 MB"), (gigabytes, 1e8, "0.1 GB"), (gigabytes, 12.34e9, "12.3 GB")],
)  # fmt: skip
def test_sizes_and_times_in_words(form: Any, value: float, shown: str) -> None:
    assert form(value) == shown
