from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from labelmine.bundle import bundle_root
from labelmine.data.phantom import phantom
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.training import BFloat16Inferer, bfloat16_in_hardware, training_inferer


class Watched(torch.nn.Module):
    """A convolution and a depthwise one; it keeps the types that they answered in."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.depthwise = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3, groups=4)
        self.types: list[torch.dtype] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.plain(x)
        second = self.depthwise(first)
        third = F.conv2d(second, self.depthwise.weight, groups=4)
        self.types = [first.dtype, second.dtype, third.dtype]
        return third


def test_depthwise_convolutions_stay_in_float32() -> None:
    network = Watched()
    logits = BFloat16Inferer()(torch.rand(2, 3, 9, 9), network)
    assert network.types == [torch.bfloat16, torch.float32, torch.float32]
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}


def test_logits_and_gradients_are_nearly_those_of_float32() -> None:
    image, mask = (torch.from_numpy(part) for part in phantom(0, 3, 96))
    batch = (image.permute(2, 0, 1)[None] / 255).repeat(2, 1, 1, 1)
    target = torch.cat([mask[None, None] / 255, torch.ones(1, 1, 96, 96)], dim=1).repeat(2, 1, 1, 1)
    gradients, logits = [], []
    for inferer in (BFloat16Inferer(), lambda x, network: network(x)):
        student = Student.load(bundle_root() / "models" / "model.safetensors")[0]
        logits.append(inferer(batch, student))
        WeightedBCEDiceLoss()(logits[-1], target).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in student.parameters() if p.grad is not None]))
    assert (logits[0] - logits[1]).abs().mean() < 0.05 * logits[1].std()
    assert F.cosine_similarity(*gradients, dim=0) > 0.98


def test_it_is_used_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: {"amx_bf16": found}, raising=False)
        assert bfloat16_in_hardware() is found
        assert isinstance(training_inferer("cpu"), BFloat16Inferer) is found
    assert not isinstance(training_inferer("cuda"), BFloat16Inferer)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not bfloat16_in_hardware()
