from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from labelmine.errors import DataError
from labelmine.studies import StudyResults


def test_order_is_baseline_first_then_as_listed(study: StudyResults) -> None:
    shuffled = dataclasses.replace(study, cells=study.cells.iloc[::-1])
    assert list(shuffled.titles) == ["supervised", "mean_teacher", "one_time"]
    assert study.fractions == [0.1, 0.5, 1.0]
    assert study.test_sets == ["test"]
    assert study.has_baseline
    assert not dataclasses.replace(study, baseline="none").has_baseline


def test_without_cells_the_error_says_what_to_do() -> None:
    nothing = {"name": "polyps", "cells": pd.DataFrame(), "images": pd.DataFrame()}
    with pytest.raises(DataError, match=r"'polyps': no cell has finished.*run configs/study\.yaml first"):
        StudyResults(**nothing)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"1 failed, the first \(one_time, 0\.1\) with: DataError: bad\. Mend that"):
        StudyResults(**nothing, failures=[("one_time, 0.1", "DataError: bad")])  # type: ignore[arg-type]


def test_an_absent_column_is_named(study: StudyResults) -> None:
    with pytest.raises(DataError, match=r"'polyps', images: expected the columns .* got no \['dice'\]"):
        dataclasses.replace(study, images=study.images.drop(columns="dice"))
    with pytest.raises(DataError, match=r"'polyps', cells: expected the columns .* got no \['title'\]"):
        dataclasses.replace(study, cells=study.cells.drop(columns="title"))


def test_nothing_counts_twice(study: StudyResults) -> None:
    with pytest.raises(DataError, match=r"cell \(supervised, 0\.1, 0, test\) came twice"):
        dataclasses.replace(study, cells=pd.concat([study.cells, study.cells[:1]]))
    with pytest.raises(DataError, match=r"image \(supervised, 0\.1, 0, test, i00\) came twice"):
        dataclasses.replace(study, images=pd.concat([study.images, study.images[:1]]))


def test_images_of_an_unknown_cell_are_refused(study: StudyResults) -> None:
    with pytest.raises(DataError, match=r"images of cell \(supervised, 0\.1, 0, test\), which is not listed"):
        dataclasses.replace(study, cells=study.cells[1:])


def test_cells_examined_on_other_images_are_not_compared(study: StudyResults) -> None:
    with pytest.raises(DataError, match=r"examined on different images, 1 in one only, as 'i00'\. Remove the folder"):
        dataclasses.replace(study, images=study.images[1:])
