from __future__ import annotations

import io

from PIL import Image

from labelmine.report import study_plots
from labelmine.studies import StudyResults, summarise_study


def test_every_method_has_a_line_style_of_its_own() -> None:
    styles = study_plots.styles_of(["supervised", *"abcdefg"], "supervised")
    assert len({str(line) for _, line, _ in styles.values()}) == len({marker for *_, marker in styles.values()}) == 8


def test_figures_keep_their_width(study: StudyResults) -> None:
    table = summarise_study(study)
    styles = study_plots.styles_of(list(study.titles), "supervised")
    by_fraction = study_plots.dice_by_fraction(table, styles, "title", bands=["supervised"])
    by_method = study_plots.dice_by_method(table[table["fraction"] == 0.1], styles, "title")
    sizes = [Image.open(io.BytesIO(image)).size for image in (by_fraction, by_method)]
    assert {width for width, _ in sizes} == {840}
