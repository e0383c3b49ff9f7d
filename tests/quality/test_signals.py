from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelmine.quality import AreaRange, agreement, class_dice, label_signals

SHAPE = (2, 12, 12)
masks = hnp.arrays(bool, SHAPE)
maps = hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32))


@settings(max_examples=30, deadline=None)
@given(masks, maps)
def test_signals_equal_a_slow_computation(mask: np.ndarray, probability: np.ndarray) -> None:
    label, student = torch.from_numpy(mask).float()[None], torch.from_numpy(probability)[None]
    found = {name: float(value) for name, value in label_signals(label, student).items()}
    hard, soft = [], []
    for m, p in zip(mask, probability, strict=True):
        both, total = (m & (p > 0.5)).sum(), m.sum() + (p > 0.5).sum()
        hard.append(2 * both / total if total else 1.0)
        soft.append(2 * p[m].sum() / (m.sum() + p.sum()) if m.sum() + p.sum() > 0 else 1.0)
    entropies = []
    for y, x in np.ndindex(SHAPE[1:]):
        if mask[:, y, x].any() or (probability[:, y, x] > 0.5).any():
            ps = probability[:, y, x].clip(1e-6, 1 - 1e-6)
            entropies.append(max(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)) for p in ps))
    assert found["student_dice"] == pytest.approx(np.mean(hard), abs=1e-5)
    assert found["student_overlap"] == pytest.approx(np.mean(soft), abs=1e-4)
    assert found["certainty"] == pytest.approx(1 - np.mean(entropies) if entropies else 1.0, abs=1e-3)
    assert all(-1e-6 <= value <= 1 + 1e-6 for value in found.values())


def test_compactness_counts_components_of_each_class() -> None:
    label = torch.zeros(2, 2, 16, 16)
    label[0, 0, 1:3, 1:3] = label[0, 0, 6:8, 6:8] = label[0, 1, 10:12, 10:12] = 1
    label[0, 0, 3, 3] = 1  # touches by a corner: the same component
    assert label_signals(label, label)["compactness"].tolist() == [0.75, 0.0]


def test_area_is_compared_with_what_gold_shows() -> None:
    gold = [torch.zeros(2, 10, 10), torch.zeros(2, 10, 10)]
    gold[0][0, :4, :5] = 1
    gold[1][0, :2, :5] = 1
    known = AreaRange.of(gold)
    assert known.low == pytest.approx((0.1, 0.0))
    assert known.high == pytest.approx((0.2, 1.0))
    label = torch.zeros(4, 2, 10, 10)
    label[0, 0, :3, :5] = 1  # within
    label[1, 0, :1, :5] = 1  # half of the smallest
    label[2, 0, :8, :5] = 1  # twice the largest
    label[3, 1, :9] = 1  # a class without gold
    assert known.fit(label > 0.5).tolist() == pytest.approx([1, 0.5, 0.5, 1])


def test_dice_by_class_and_their_mean() -> None:
    a, b = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    a[0, 0, :2], b[0, 0, :1] = 1, 1
    assert class_dice(a, b).tolist()[0] == pytest.approx([2 / 3, 1])
    assert agreement(a, b).tolist() == pytest.approx([5 / 6])
