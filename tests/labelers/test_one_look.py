"""The student is asked once about a batch, however many need its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from labelmine.labelers import FeatureMap, GatedLabeler, PromptedLabeler, RecordedLabeler, ReferenceLabeler, SelfLabeler
from labelmine.labelers.prediction import predict
from labelmine.networks import Student, TestTimeAverage
from labelmine.prediction import Predictor
from labelmine.quality import AreaRange, Gate, Verdict
from labelmine.teachers import CompactTeacher
from labelmine.workflows.mine.gate import GateStage
from labelmine.workflows.mine.held_out import HeldOut

SIZE = 32
LOOKS = 8


class Counted(nn.Module):
    """A student that finds what is bright, and counts how often it looked."""

    exclusive = False

    def __init__(self) -> None:
        super().__init__()
        self.sharpen = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.sharpen.weight, 6.0)
        nn.init.constant_(self.sharpen.bias, -9.0)
        self.looks = 0

    def forward(self, image: Tensor) -> Tensor:
        self.looks += 1
        logits: Tensor = self.sharpen(image)
        return logits


def views(count: int = 2) -> dict[str, Any]:
    """Bright squares on noise, with their gold."""
    generator = torch.Generator().manual_seed(count)
    gold = torch.zeros(count, 1, SIZE, SIZE)
    for n, mask in enumerate(gold):
        mask[:, 6 : 16 + n, 8:20] = 1
    image = (0.25 + 0.5 * gold + 0.1 * torch.rand(gold.shape, generator=generator)).expand(-1, 3, -1, -1)
    return {
        "image": image.contiguous(), "label": gold, "weight": torch.ones_like(gold),
        "id": [f"view_{n}" for n in range(count)], "original_size": torch.full((count, 2), SIZE),
    }  # fmt: skip


def verdict(source: Any) -> Verdict:
    gate = Gate(class_names=("a",), size_from={"any": 0.0}, choices=({"any": source},))
    return Verdict(gate=gate, expected_dice=None, area_range=AreaRange((0.0,), (1.0,)), source={})


def labeler_of(kind: str, folder: Path) -> Any:
    if kind == "recorded":
        for name in views()["id"]:
            Image.fromarray(np.full((SIZE, SIZE), 255, np.uint8)).save(folder / f"{name}.png")
        return RecordedLabeler(folder)
    made = {"prompted": lambda: PromptedLabeler(CompactTeacher(64).eval(), min_score=0.0), "self": SelfLabeler}
    return made[kind]()


@pytest.mark.parametrize("source", ["labeler", "blend", "student"])
@pytest.mark.parametrize("kind", ["prompted", "self", "recorded"])
def test_a_gated_labeler_asks_an_averaging_student_once(kind: str, source: str, tmp_path: Path) -> None:
    network = Counted()
    gated = GatedLabeler(labeler_of(kind, tmp_path), verdict(source))
    label = gated(views(), TestTimeAverage(network))  # type: ignore[arg-type]
    assert network.looks == LOOKS
    assert label.student is not None
    assert torch.equal(label.student, predict(TestTimeAverage(network), views(), False))  # type: ignore[arg-type]


def test_references_and_the_answer_come_from_one_look() -> None:
    network, gold = Counted(), [views(3)]
    labeler = ReferenceLabeler(gold, features=FeatureMap("sharpen", 1), min_score=0.0)
    labeler.prepare(network)
    network.looks = 0
    label = GatedLabeler(labeler, verdict("blend"))(views(), network)
    assert network.looks == 1
    assert label.student is not None
    assert torch.equal(label.student, predict(network, views(), False))


def test_the_gate_s_stage_compares_and_calibrates_from_one_look(tmp_path: Path) -> None:
    network = Counted()
    labeler = PromptedLabeler(CompactTeacher(64).eval(), min_score=0.0)
    batches = [views(2), views(3)]
    GateStage(labeler, [HeldOut(TestTimeAverage(network), batches)], [views(4)], ["a"], tmp_path)()  # type: ignore[arg-type]
    assert network.looks == LOOKS * len(batches)


def test_a_refined_prediction_asks_once_even_where_the_teacher_is_not_followed() -> None:
    student = Student(["a"], "mobilenet_v2")
    looks: list[int] = []
    student.register_forward_hook(lambda *_: looks.append(1))
    refine = PromptedLabeler(CompactTeacher(64).eval(), min_score=1.0)
    predictor = Predictor(student, SIZE, refine, tta=True)
    predictor.probabilities({key: views()[key] for key in ("image", "weight")})
    assert len(looks) == LOOKS
