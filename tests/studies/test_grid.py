from __future__ import annotations

from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.studies.grid import Cell, Method, build_grid, read_methods, with_needs

CATALOGUE: dict[str, dict[str, Any]] = {
    "supervised": {"title": "Supervised", "config": "train"},
    "self_training": {"overlays": ["labeler_self"]},
    "one_time": {"knobs": {"margin": 0.1}},
}
SUPERVISED, SELF, ONE_TIME = read_methods(CATALOGUE, list(CATALOGUE))
SIMCLR = Method(key="simclr", title="SimCLR", config="pretrain_simclr")


def names(cells: list[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def test_the_supervised_student_comes_first_even_where_it_is_not_compared() -> None:
    assert names(build_grid([SELF], [0.1], [0], SUPERVISED)) == [
        "supervised, 0.1, seed 0",
        "self_training, 0.1, seed 0",
    ]


def test_all_combinations_seed_by_seed_each_once() -> None:
    cells = build_grid([SELF, SUPERVISED, ONE_TIME], [0.1, 0.5, 0.1], [3, 4], SUPERVISED)
    assert len(cells) == len({cell.folder for cell in cells}) == 12
    assert [cell.seed for cell in cells] == [3] * 6 + [4] * 6
    for position, cell in enumerate(cells):
        assert all(needed in cells[:position] for needed in cell.needs)


def test_pretraining_precedes_all() -> None:
    cells = build_grid([ONE_TIME], [0.1], [0], SUPERVISED, SIMCLR)
    assert names(cells) == ["simclr, 0.1, seed 0", "supervised, 0.1, seed 0", "one_time, 0.1, seed 0"]
    assert [c.method.key for c in with_needs(cells[-1])] == ["simclr", "simclr", "supervised", "one_time"]


def test_cells_share_a_generator() -> None:
    catalogue = {"pairs": {"config": "synthesize"}, "lesions": {"config": "synthesize", "generator_of": "pairs"}}
    cells = build_grid(read_methods(catalogue, ["lesions"]), [0.1], [0], SUPERVISED)
    assert names(cells) == ["supervised, 0.1, seed 0", "pairs, 0.1, seed 0", "lesions, 0.1, seed 0"]
    assert cells[2].needs == (cells[0], cells[1])


def test_folders_tell_method_fraction_and_seed() -> None:
    assert str(Cell(ONE_TIME, 0.05, 2).folder) == "cells/one_time/0.05/seed_2"
    assert str(Cell(ONE_TIME, 25, 2).folder) == "cells/one_time/25/seed_2"


@pytest.mark.parametrize(
    ("catalogue", "chosen", "message"),
    [
        (CATALOGUE, [], "expected one or more of supervised"),
        (CATALOGUE, ["one_tme"], r"unknown method 'one_tme' \(did you mean 'one_time'\?\)"),
        ({"odd": {"overlay": []}}, ["odd"], "expected the keys config, generator_of, knobs, overlays"),
        ({"odd": {"config": "synthesize", "generator_of": "pairs"}}, ["odd"], "unknown method 'pairs'"),
        ({"odd": {"config": "synthesize", "generator_of": "odd"}}, ["odd"], "'odd' takes another's generator itself"),
        ({**CATALOGUE, "odd": {"generator_of": "one_time"}}, ["odd"], "generator_of names a method with config: synth"),
        ({"odd": {"config": "label"}}, ["odd"], "config is one of train, mine, synthesize; got 'label'"),
    ],
)
def test_bad_methods(catalogue: dict[str, Any], chosen: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_methods(catalogue, chosen)


@pytest.mark.parametrize(("fractions", "seeds", "message"), [([], [0], "fractions"), ([0.1], [], "seeds")])
def test_an_empty_grid(fractions: list[float], seeds: list[int], message: str) -> None:
    with pytest.raises(ConfigError, match=f"{message}: expected one value or more"):
        build_grid([SUPERVISED], fractions, seeds, SUPERVISED)
