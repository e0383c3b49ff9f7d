"""What an embedding depends on besides its image."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_digest(model: nn.Module, weights_sha256: str) -> str:
    """Return the hash that names a teacher's weights: its file's, or of the tensors where they came from no file.

    Args:
        model: The teacher's network.
        weights_sha256: Hash of the weights file, or an empty string.
    """
    if weights_sha256:
        return weights_sha256
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
