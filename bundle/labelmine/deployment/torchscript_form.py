"""The student as TorchScript in the form of ``monai.bundle ckpt_export``."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from monai.data import save_net_with_metadata

from labelmine.atomic import write_whole
from labelmine.deployment.facts import StudentFacts


def export_torchscript(facts: StudentFacts, path: Path) -> Path:
    """Write a traced student from views (N, 3, S, S) in [0, 1] to logits, S any multiple of 32.

    It is what ``network_def`` of ``inference.yaml`` is, for those who load ``model.ts`` in its place; MONAI's
    ``load_net_with_metadata`` reads it with its metadata. Views are made as ``labelmine.transforms.StudentView`` does.
    Traced, as smp's networks cannot be scripted.
    """
    side = facts.image_size
    view = torch.zeros(2, 3, side, side)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, of TorchScript, which MONAI still takes
        traced = torch.jit.trace(facts.student.cpu().eval(), view, check_trace=False)  # type: ignore[no-untyped-call]
        content = io.BytesIO()
        told = facts.as_dict()
        save_net_with_metadata(traced, content, include_config_vals=False, append_timestamp=False, meta_values=told)
    write_whole(path, content.getvalue())
    return path
