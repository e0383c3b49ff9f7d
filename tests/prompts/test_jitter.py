from __future__ import annotations

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from labelmine.prompts import Prompts
from labelmine.prompts.jitter import jittered


def prompts(n: int = 3) -> Prompts:
    generator = torch.Generator().manual_seed(n)
    corner = torch.rand(n, 2, generator=generator) * 40
    return Prompts(
        image_index=torch.arange(n),
        class_index=torch.zeros(n, dtype=torch.int64),
        boxes=torch.cat([corner, corner + 20], 1),
        points=corner[:, None] + 10 * torch.rand(n, 2, 2, generator=generator),
        point_labels=torch.tensor([[1.0, -1.0]]).expand(n, -1),
    )


@given(st.floats(0, 1), st.floats(0, 60), st.integers(0, 99))
@example(0.62109375, 45.0, 47)  # float32: a side of 1 - 1e-6
@example(1.0, 60.0, 6)  # a box that is pushed beyond the image as a whole
def test_nothing_moves_further_than_asked_nor_out_of_the_image(fraction: float, side: float, seed: int) -> None:
    asked = prompts()
    moved = jittered(asked, torch.full((3,), side), fraction, (48, 64), seed)
    assert moved.boxes is not None
    assert asked.boxes is not None
    assert moved.points is not None
    assert asked.points is not None
    inside = asked.boxes.clamp(max=torch.tensor([64.0, 48.0, 64.0, 48.0]))
    assert (moved.boxes[:, 2:] - moved.boxes[:, :2]).min() >= 1 - 1e-4
    assert (moved.boxes >= 0).all()
    assert (moved.boxes <= torch.tensor([64.0, 48.0, 64.0, 48.0])).all()
    far = (moved.boxes[:, :2] - inside[:, :2]).abs().max()
    assert far <= max(fraction * side, 0) * 2 + 1e-3  # twice: edges that crossed have changed places
    near = asked.points.clamp(max=torch.tensor([63.0, 47.0]))
    assert (moved.points - near).abs().max() <= fraction * side + 1e-3
    assert moved.point_labels is asked.point_labels


def test_a_prompt_s_draw_does_not_depend_on_its_company() -> None:
    asked = prompts(3)
    alone = Prompts(**{name: None if value is None else value[1:2] for name, value in vars(asked).items()})
    side = torch.full((3,), 20.0)
    many, one = jittered(asked, side, 0.2, (64, 64)), jittered(alone, side[1:2], 0.2, (64, 64))
    assert many.boxes is not None
    assert one.boxes is not None
    assert torch.equal(many.boxes[1:2], one.boxes)
    assert not torch.equal(many.boxes, asked.boxes)


def test_no_jitter_is_no_change() -> None:
    asked = prompts()
    same = jittered(asked, torch.full((3,), 20.0), 0.0, (64, 64))
    assert torch.equal(same.boxes, asked.boxes)
    assert torch.equal(same.points, asked.points)
