from __future__ import annotations

import numpy as np

from labelmine.evaluation import Case
from labelmine.report import Doubt, UncertaintyReport, as_markdown, render
from labelmine.report.uncertainty import LISTED, uncertainty_page


def doubt(name: str) -> Doubt:
    mask = np.zeros((1, 20, 30), dtype=bool)
    mask[:, 5:10, 5:15] = True
    case = Case(id=name, image=np.full((20, 30, 3), 0.5), predictions={"mask": mask}, caption="expected Dice 0.31")
    return Doubt(case=case, wrong=np.linspace(0, 0.5, 600).reshape(20, 30))


def test_the_least_sure_come_first_and_the_calibration_is_told() -> None:
    dice = {f"case_{n:02d}": 1 - n / 100 for n in range(60)}
    report = UncertaintyReport(
        dataset="polyps", expected_dice=dice, shown=[doubt("case_59")], calibration="Calibrated on 9 images.",
        settings={"dataset_dir": "/home/anna/polyps"},
    )  # fmt: skip
    text = as_markdown(uncertainty_page(report))
    assert "39 of 60 masks may expect a Dice below 0.8" in text
    assert text.index("case_59") < text.index("case_58") < text.index("case_10")
    assert f"{60 - LISTED} more" in text
    assert "case_09" not in text
    assert "Calibrated on 9 images." in text
    html = render(uncertainty_page(report))
    assert html.count("data:image/webp") == 2
    assert "anna" not in html


def test_what_is_not_calibrated_is_noted_first() -> None:
    report = UncertaintyReport(
        dataset="polyps", expected_dice={"a": 0.9}, calibration="Not calibrated.", calibrated=False
    )
    page = as_markdown(uncertainty_page(report))
    assert page.index("Not calibrated.") < page.index("least sure first")
