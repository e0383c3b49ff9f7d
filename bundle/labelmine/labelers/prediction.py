"""The student's prediction of a plain view, as every labeler needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from labelmine.labelers.base import PseudoLabel
from labelmine.networks import StudentNetwork, network_behind, probabilities


@torch.no_grad()
def predict(student: StudentNetwork, batch: Mapping[str, Any], exclusive: bool) -> Tensor:
    """Return (B, K, H, W) probabilities in evaluation mode, 0 in the padding; the student's mode is put back after."""
    network = network_behind(student)
    training = isinstance(network, nn.Module) and network.training
    if isinstance(network, nn.Module):
        network.eval()
    try:
        images = batch["image"]
        # One image alone takes other kernels, whose last bits differ; doubled it gets what it gets in any batch, and
        # the labels of a resumed run, whose batches are others, stay the same.
        logits = student(images.repeat(2, 1, 1, 1))[:1] if len(images) == 1 else student(images)
        probability = probabilities(logits, exclusive)
    finally:
        if isinstance(network, nn.Module):
            network.train(training)
    return probability * (batch["weight"] > 0) if "weight" in batch else probability


def predict_once(
    student: StudentNetwork, batch: Mapping[str, Any], exclusive: bool, answer: PseudoLabel | None = None
) -> Tensor:
    """Return what ``predict`` does; taken from a labeler's answer to the batch where that asked the student already."""
    if answer is not None and answer.student is not None:
        return answer.student
    return predict(student, batch, exclusive)
