"""Prompts from probability maps: where boxes and points lie, what is passed over, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label as connected
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.prompts import PromptGenerator

SIZE = (24, 30)


def blocks(*corners: tuple[int, int, int, int, float]) -> Tensor:
    """A (1, 1, 24, 30) map with rectangles ``x0, y0, x1, y1, probability`` on 0.1."""
    probability = torch.full((1, 1, *SIZE), 0.1)
    for x0, y0, x1, y1, value in corners:
        probability[..., y0:y1, x0:x1] = value
    return probability


@st.composite
def maps(draw: st.DrawFn) -> Tensor:
    """Random (B, K, 24, 30) maps with a few levels, so that ties and several components are common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    coarse = rng.integers(0, draw(st.integers(2, 6)), (*shape, 6, 10)) / 5
    return torch.from_numpy(coarse.repeat(4, 2).repeat(3, 3).astype(np.float32))


def truth(probability: np.ndarray, tau: float, min_size: int) -> list[np.ndarray]:
    """Components by scikit-image, a second implementation."""
    labels, count = connected(probability > tau, connectivity=2, return_num=True)
    return [labels == n for n in range(1, count + 1) if (labels == n).sum() >= min_size]


@given(maps(), st.sampled_from([0.3, 0.5, 0.7]), st.sampled_from([1, 10, 40]))
@settings(max_examples=30, deadline=None)
def test_each_component_gets_a_tight_box_and_points_at_its_highest_probabilities(
    probability: Tensor, tau: float, min_size: int
) -> None:
    prompts = PromptGenerator(tau=tau, min_size=min_size, n_points=4)(probability)
    assert prompts.boxes is not None
    assert prompts.points is not None
    expected = {(b, c): truth(probability[b, c].numpy(), tau, min_size) for b, c in np.ndindex(*probability.shape[:2])}
    assert len(prompts) == sum(map(len, expected.values()))
    for n in range(len(prompts)):
        b, c = int(prompts.image_index[n]), int(prompts.class_index[n])
        x, y = prompts.points[n].long().unbind(1)
        target = next(t for t in expected[b, c] if t[y[0], x[0]])
        rows, columns = np.nonzero(target)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert prompts.boxes[n].tolist() == tight
        values = probability[b, c].numpy()
        assert target[y, x].all()
        assert len({*zip(x.tolist(), y.tolist(), strict=True)}) == 4
        np.testing.assert_array_equal(values[y, x], np.sort(values[target])[::-1][:4])


@given(maps(), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_points_among_ties_are_random_by_seed_and_blind_to_the_rest_of_the_batch(
    probability: Tensor, seed: int
) -> None:
    together = PromptGenerator(seed=seed)(probability)
    again = PromptGenerator(seed=seed)(probability)
    assert together.points is not None
    assert again.points is not None
    assert torch.equal(together.points, again.points)
    for b in range(len(probability)):
        alone = PromptGenerator(seed=seed)(probability[b : b + 1])
        assert alone.of_image(0) == together.of_image(b)


def test_another_seed_draws_other_points_among_ties() -> None:
    probability = blocks((2, 2, 20, 20, 0.9))
    drawn = {str(PromptGenerator(seed=s)(probability).points) for s in range(5)}
    assert len(drawn) == 5


@given(maps(), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_centre_points_lie_deepest_inside_their_object(probability: Tensor, n_points: int) -> None:
    prompts = PromptGenerator(["points"], point_choice="centre", n_points=n_points, min_size=4)(probability)
    assert prompts.points is not None
    for n in range(len(prompts)):
        b, c = int(prompts.image_index[n]), int(prompts.class_index[n])
        points = prompts.points[n].long().numpy()
        objects = truth(probability[b, c].numpy(), 0.5, 4)
        target = next(t for t in objects if t[points[0, 1], points[0, 0]])
        outside = np.argwhere(~np.pad(target, 1)) - 1
        depths = {(x, y): np.hypot(*(outside - [y, x]).T).min() for y, x in np.argwhere(target)}
        deepest = sorted(depths.values(), reverse=True)[:n_points]
        assert [depths[x, y] for x, y in points.tolist()] == pytest.approx(deepest)


def test_the_middle_of_a_block_is_its_centre_wherever_the_student_is_surest() -> None:
    probability = blocks((4, 3, 17, 16, 0.6), (4, 3, 7, 6, 0.9))
    middle = PromptGenerator(["points"], point_choice="centre", n_points=1)(probability).points
    assert middle is not None
    assert middle.tolist() == [[[10, 9]]]


def test_whole_takes_one_box_around_all_components() -> None:
    probability = blocks((2, 3, 8, 9, 0.9), (20, 15, 26, 20, 0.8))
    apart = PromptGenerator(["box"])(probability)
    whole = PromptGenerator(["box"], per_component=False)(probability)
    assert apart.boxes is not None
    assert whole.boxes is not None
    assert apart.boxes.tolist() == [[2, 3, 8, 9], [20, 15, 26, 20]]
    assert whole.boxes.tolist() == [[2, 3, 26, 20]]


def test_diagonal_neighbours_are_one_component() -> None:
    assert len(PromptGenerator(["box"])(blocks((2, 2, 7, 7, 0.9), (7, 7, 12, 12, 0.9)))) == 1


@pytest.mark.parametrize("per_component", [True, False])
def test_specks_are_passed_over(per_component: bool) -> None:
    probability = blocks((2, 2, 5, 5, 0.9), (10, 10, 16, 16, 0.9))
    prompts = PromptGenerator(["box"], min_size=10, per_component=per_component)(probability)
    assert prompts.boxes is not None
    assert prompts.boxes.tolist() == [[10, 10, 16, 16]]
    assert len(PromptGenerator(["box"], min_size=9)(probability)) == 2


def test_margin_widens_by_a_fraction_of_the_side_and_stays_inside() -> None:
    boxes = PromptGenerator(["box"], margin=0.25)(blocks((1, 4, 9, 20, 0.9))).boxes
    assert boxes is not None
    assert boxes.tolist() == [[0, 0, 11, 24]]


@given(maps(), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_negative_points_lie_outside_the_prediction(probability: Tensor, n_negative: int) -> None:
    prompts = PromptGenerator(n_points=2, n_negative=n_negative, min_size=4)(probability)
    assert prompts.points is not None
    assert prompts.point_labels is not None
    assert prompts.points.shape[1] == 2 + n_negative
    for n in range(len(prompts)):
        predicted = probability[prompts.image_index[n], prompts.class_index[n]] > 0.5
        for (x, y), label in zip(prompts.points[n].long().tolist(), prompts.point_labels[n].tolist(), strict=True):
            assert label == -1 or bool(predicted[y, x]) == (label == 1)


def test_points_that_are_nowhere_to_be_found_are_padding() -> None:
    everywhere = PromptGenerator(n_points=2, n_negative=2)(torch.ones(1, 1, 8, 8))
    assert everywhere.point_labels is not None
    assert everywhere.point_labels.tolist() == [[1, 1, -1, -1]]
    small = PromptGenerator(n_points=3, min_size=1)(blocks((4, 4, 6, 5, 0.9)))
    assert small.point_labels is not None
    assert small.point_labels.tolist() == [[1, 1, -1]]


@pytest.mark.parametrize("kinds", [["points"], ["box"], ["mask"], ["points", "box", "mask"]])
def test_empty_map_brings_no_prompt(kinds: Any) -> None:
    prompts = PromptGenerator(kinds, mask_size=32)(torch.zeros(2, 3, 16, 16))
    assert len(prompts) == 0
    assert (prompts.boxes is not None) == ("box" in kinds)
    assert (prompts.points is not None) == ("points" in kinds)
    assert (prompts.masks is not None) == ("mask" in kinds)


def test_classes_are_prompted_apart() -> None:
    probability = torch.cat([blocks((2, 2, 8, 8, 0.9)), blocks(), blocks((2, 2, 8, 8, 0.8), (15, 9, 22, 18, 0.7))], 1)
    prompts = PromptGenerator(["box"])(probability.repeat(2, 1, 1, 1))
    assert prompts.image_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert prompts.class_index.tolist() == [0, 2, 2, 0, 2, 2]


def test_mask_prompt_holds_the_image_and_class_as_bounded_logits() -> None:
    probability = blocks((6, 6, 18, 18, 1.0)).repeat(2, 1, 1, 1)
    probability[1] = 0
    prompts = PromptGenerator(["mask"], mask_size=64)(probability)
    assert prompts.masks is not None
    assert prompts.masks.shape == (1, 1, 64, 64)
    assert prompts.masks.max() == pytest.approx(9.21, abs=0.01)
    assert prompts.masks.min() == pytest.approx(np.log(0.1 / 0.9), abs=0.01)
    assert prompts.boxes is None
    assert prompts.points is None


def test_gradients_do_not_flow_into_prompts() -> None:
    probability = blocks((6, 6, 18, 18, 0.9)).requires_grad_()
    prompts = PromptGenerator(["box", "points", "mask"], mask_size=16)(probability)
    assert prompts.masks is not None
    assert not prompts.masks.requires_grad


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"kinds": []}, r"prompt_kinds: expected a list of one or more of points, box, mask. Got: \[\]"),
        ({"kinds": ["box", "circle"]}, r"prompt_kinds: expected .*. Got: \['box', 'circle'\]"),
        ({"tau": 0}, r"tau: expected a number in \(0, 1\). Got: 0"),
        ({"tau": 1.0}, r"tau: expected a number in \(0, 1\). Got: 1.0"),
        ({"n_points": 0}, "n_points: expected a whole number of 1 or more. Got: 0"),
        (
            {"point_choice": "middle"},
            "point_choice: expected highest or centre. Got: 'middle'",
        ),
        ({"n_negative": -1}, "n_negative: expected a whole number of 0 or more. Got: -1"),
        ({"margin": -0.1}, "margin: expected a number of 0 or more. Got: -0.1"),
        ({"min_size": 0}, "min_size: expected a whole number of 1 or more. Got: 0"),
    ],
)
def test_bad_knobs(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PromptGenerator(**knobs)


def test_no_points_are_fine_without_their_kind() -> None:
    assert PromptGenerator(["box"], n_points=0).n_points == 0
