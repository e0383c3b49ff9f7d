from __future__ import annotations

import pytest
import torch

from labelmine.errors import ConfigError
from labelmine.synthesis.admission import admit, dice_with


def scene() -> dict[str, torch.Tensor]:
    """Five pairs: good, one that the student does not see, one that the teacher does not see, a copy, an empty one."""
    masks = torch.zeros(5, 1, 16, 16)
    masks[:4, :, 4:10, 4:10] = 1
    student, teacher = masks.clone(), masks.clone()
    student[1] = 0
    teacher[2] = teacher[2].roll(6, dims=-1)
    real = torch.eye(6) * 4
    features = torch.full((5, 6), 3.0)
    features[3] = real[0] + 0.01
    return {"masks": masks, "student": student, "teacher": teacher, "real": real, "features": features}


def test_each_has_its_reason() -> None:
    s = scene()
    opinions = {"the student": s["student"], "the teacher": s["teacher"]}
    verdict = admit(s["masks"], opinions, s["features"], s["real"])
    assert verdict.reason == [
        "",
        "the student sees another lesion",
        "the teacher sees another lesion",
        "a copy of a training image",
        "its mask is empty",
    ]
    assert verdict.accepted.tolist() == [True, False, False, False, False]
    assert verdict.agreement[:3].tolist() == [1.0, 0.0, 0.0]
    assert verdict.copy_limit == pytest.approx(4 * 2**0.5)


def test_without_opinions_only_copies_and_empty_ones_are_refused() -> None:
    s = scene()
    assert admit(s["masks"], {}, s["features"], s["real"]).accepted.tolist() == [True, True, True, False, False]


def test_dice_of_opinions() -> None:
    a, b = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    a[0, :, :2] = 1
    b[0, :, 1:3] = 0.9
    assert dice_with(a, b).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("knob", ["min_agreement", "copy_quantile"])
def test_knobs_out_of_range(knob: str) -> None:
    s = scene()
    with pytest.raises(ConfigError, match=rf"{knob}: expected a number in \[0, 1\]. Got: 2"):
        admit(s["masks"], {}, s["features"], s["real"], **{knob: 2})
