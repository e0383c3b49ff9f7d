"""Tables and figures of the results' pages come from the CSV files beside them."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from PIL import Image

from labelmine.bundle import bundle_root
from makers import loaded_script

DOCS = bundle_root() / "scripts" / "docs"
RESULTS = bundle_root() / "docs" / "results"
MADE = re.compile(r"<!-- made: .*?<!-- end -->", re.DOTALL)


@pytest.fixture
def tables() -> ModuleType:
    return loaded_script("tables", folder="scripts/docs")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(DOCS)
    return loaded_script("figures", folder="scripts/docs")


@pytest.mark.parametrize("page", sorted(RESULTS.glob("*.md")), ids=lambda page: page.stem)
def test_no_figure_in_a_table_of_the_results_is_typed(page: Path) -> None:
    typed = MADE.sub("", page.read_text(encoding="utf-8"))
    assert re.findall(r"^\|.*\d.*$", typed, re.MULTILINE) == [], "put them into a CSV and scripts/docs/tables.yaml"


def test_a_cell_leaves_out_the_part_that_lacks_a_figure(tables: ModuleType) -> None:
    cell = "{dice}[ ± {std}][ ({low} to {high})]"
    row = {"dice": "0.80", "std": "0.01", "low": "0.7", "high": ""}
    assert tables.put_together(cell, row) == "0.80 ± 0.01"
    assert tables.put_together(cell, {**row, "high": "0.9"}) == "0.80 ± 0.01 (0.7 to 0.9)"


def test_a_table_has_the_digits_of_its_file_and_its_best_bold(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.csv").write_text("# how it was made\nwho,mean,std\none,0.80,0.010\ntwo,0.90,\n")
    (tmp_path / "forms.yaml").write_text("tiny: {cells: {who: '{who}', Dice: '{mean}[ ± {std}]'}, best: [Dice]}")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "FORMS", tmp_path / "forms.yaml")
    assert tables.table("tiny").splitlines()[2:] == ["| one | 0.80 ± 0.010 |", "| two | **0.90** |"]


def test_each_form_names_columns_that_its_file_has(tables: ModuleType) -> None:
    for name in tables.forms():
        assert tables.table(name).count("\n") == len(tables.read(name)) + 1


def test_means_of_seeds_are_theirs(tables: ModuleType) -> None:
    """Means in the files were taken before seeds were rounded, so the last digit may differ by one."""
    for name, prefix in (("schedule", "seed_"), ("weak_busi", "seed_"), ("weak_isic", "fold_")):
        table = tables.read(name)
        by_seed = table.filter(like=prefix)
        pd.testing.assert_series_equal(by_seed.mean(axis=1), table["mean"], atol=0.0011, rtol=0, check_names=False)
        pd.testing.assert_series_equal(by_seed.std(axis=1), table["std"], atol=0.0011, rtol=0, check_names=False)


def test_a_picture_is_stale_once_its_table_changed(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(figures.stale()) == []
    for name in figures.FIGURES:
        (tmp_path / f"{name}.csv").write_bytes((RESULTS / f"{name}.csv").read_bytes())
    with (tmp_path / "recipe.csv").open("a") as file:
        file.write("busi,one_time,0.1,0,128,500,36,8,0.7,0.3,107,,1.0\n")
    monkeypatch.setattr(figures.tables, "RESULTS", tmp_path)
    assert [name for _, name in figures.stale()] == ["recipe"]


def test_figures_draw_what_the_tables_hold(figures: ModuleType, tmp_path: Path) -> None:
    axes = figures.recipe().axes[0]
    heights = sorted(round(bar.get_height(), 4) for bar in axes.patches if bar.get_height() == bar.get_height())
    means = figures.tables.read("recipe").groupby(["dataset", "method"])["mean"].mean()
    assert heights == sorted(means.round(4))
    lines = figures.study_kvasir().axes[0].lines[0]
    supervised = figures.tables.read("study_kvasir").query("method == 'supervised'")
    assert lines.get_ydata().tolist() == supervised["mean"].tolist()
    (tmp_path / "one.png").write_bytes(figures.drawn("made_kvasir"))
    assert Image.open(tmp_path / "one.png").info["Comment"] == figures.source("made_kvasir")
