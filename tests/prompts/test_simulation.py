"""Simulated prompts: boxes stay inside, points lie where they say, draws repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from labelmine.prompts import Prompts, PromptSimulator, components, jitter_box, outer_box


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[list[int], tuple[int, int]]:
    height, width = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return [x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))], (height, width)


@given(boxes_in_images(), st.floats(0, 2), st.integers(0, 1000))
@settings(max_examples=200, deadline=None)
def test_jittered_boxes_stay_inside_and_keep_their_order(
    case: tuple[list[int], tuple[int, int]], fraction: float, seed: int
) -> None:
    box, (height, width) = case
    moved = jitter_box(np.array(box), fraction, (height, width), np.random.default_rng(seed))
    assert moved.dtype == np.float32
    assert moved[0] >= 0
    assert moved[1] >= 0
    assert moved[2] <= width
    assert moved[3] <= height
    assert (moved[2:] - moved[:2] >= 2 - 1e-4).all()


def test_jitter_moves_by_at_most_the_fraction_of_the_side() -> None:
    rng = np.random.default_rng(0)
    shifts = np.stack([jitter_box(torch.tensor([40.0, 50, 60, 90]), 0.1, (200, 200), rng) for _ in range(300)])
    shifts -= np.array([40, 50, 60, 90])
    assert (np.abs(shifts).max(0) <= [2, 4, 2, 4]).all()
    assert (np.abs(shifts).max(0) > [1.8, 3.6, 1.8, 3.6]).all()
    np.testing.assert_array_equal(jitter_box(np.array([1, 2, 9, 8]), 0, (20, 20), rng), [1, 2, 9, 8])


def test_components_join_diagonals_and_drop_specks() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = mask[1, 1] = mask[5:8, 5:8] = True
    assert [c.sum() for c in components(mask)] == [2, 9]
    assert [c.sum() for c in components(mask, min_size=3)] == [9]
    assert components(np.zeros((4, 4), bool)) == []
    np.testing.assert_array_equal(outer_box(components(mask)[1]), [5, 5, 8, 8])


@pytest.fixture
def gold() -> Tensor:
    masks = torch.zeros(4, 1, 48, 64)
    masks[0, 0, 8:20, 10:30] = 1
    masks[1, 0, 2:5, 2:5] = 1  # 9 pixels: too small for the default
    masks[2, 0, 5:15, 5:15] = 1
    masks[2, 0, 30:40, 40:60] = 1
    return masks


def drawn(gold: Tensor, epochs: int = 30) -> list[tuple[Prompts, Tensor]]:
    simulate = PromptSimulator(seed=3)
    answers = []
    for epoch in range(epochs):
        simulate.set_epoch(epoch)
        answers.append(simulate(gold))
    return answers


def test_targets_are_single_objects_of_their_image(gold: Tensor) -> None:
    sizes = set()
    for prompts, targets in drawn(gold):
        assert prompts.image_index.tolist() == [0, 2]
        assert targets.shape == (2, 1, 48, 64)
        assert targets.dtype == torch.float32
        assert torch.equal(targets[0], gold[0])
        assert (targets[1] <= gold[2]).all()
        sizes.add(int(targets[1].sum()))
    assert sizes == {100, 200}


def test_kinds_are_drawn_per_batch_and_points_lie_where_their_label_says(gold: Tensor) -> None:
    kinds = set()
    negatives = 0
    for prompts, targets in drawn(gold):
        kinds.add((prompts.boxes is not None, prompts.points is not None))
        if prompts.points is None or prompts.point_labels is None:
            continue
        for n, (points, labels) in enumerate(zip(prompts.points.long(), prompts.point_labels, strict=True)):
            assert (labels == 1).any()
            for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True):
                assert label == -1 or targets[n, 0, y, x] == label
                negatives += label == 0
    assert kinds == {(True, False), (True, True), (False, True)}
    assert negatives > 0


def test_boxes_lie_around_their_object(gold: Tensor) -> None:
    for prompts, targets in drawn(gold):
        if prompts.boxes is not None:
            truth = torch.from_numpy(np.stack([outer_box(t[0].numpy() > 0) for t in targets]))
            side = (truth[:, 2:] - truth[:, :2]).repeat(1, 2)
            assert ((prompts.boxes - truth).abs() <= 0.3 * side + 1e-4).all()


def test_same_seed_and_epoch_draw_the_same(gold: Tensor) -> None:
    simulate, other = PromptSimulator(seed=1), PromptSimulator(seed=1)
    simulate(gold)
    simulate.set_epoch(4)
    other.set_epoch(4)
    assert [simulate(gold)[0].of_image(i) for i in range(4)] == [other(gold)[0].of_image(i) for i in range(4)]


def test_batch_without_objects_brings_no_prompt() -> None:
    for prompts, targets in drawn(torch.zeros(2, 1, 32, 32), epochs=8):
        assert len(prompts) == 0
        assert targets.shape == (0, 1, 32, 32)
