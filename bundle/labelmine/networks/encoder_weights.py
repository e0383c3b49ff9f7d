"""Encoder weights from a file: any state dict that fits the encoder, with the input normalisation it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from labelmine.bundle import bundle_root
from labelmine.errors import WeightsError
from labelmine.weights import load_state_dict_safely, weights_path

RGB = tuple[float, float, float]
IMAGENET: tuple[RGB, RGB] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COMPACT_FORMAT = "labelmine-compact-teacher"
CENTRED: tuple[RGB, RGB] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def shipped_imagenet(encoder: str) -> Path | None:
    """Return the ImageNet weights of an encoder that ship in ``models/``; None: smp has to fetch its own."""
    path = bundle_root() / "models" / f"{encoder}_imagenet.safetensors"
    return path if path.is_file() else None


def load_encoder_weights(encoder: nn.Module, name: str, path: str | Path) -> tuple[RGB, RGB, list[nn.Module]]:
    """Load a weights file into an smp encoder.

    The normalisation comes from the file's safetensors metadata: ``mean`` and ``std`` as JSON lists for images in
    [0, 1], or TensorFlow's ``input: x/127.5-1, RGB``; ImageNet's usual values where the file says nothing.

    Args:
        encoder: An smp encoder; changed in place.
        name: Its name, for messages.
        path: A safetensors file, or a PyTorch file of tensors alone. Names as smp's encoder has them (torchvision's and
            timm's own); classifier weights are passed over. Or a compact teacher (``compact``), whose image encoder is
            a MobileNetV2 without its last layer.

    Returns:
        Mean and standard deviation (3 values each, images in [0, 1]), and the batch normalisation layers whose
        statistics were folded into the convolutions: those must stay in evaluation mode.

    Raises:
        WeightsError: When the file is missing, unsafe, or lacks weights of this encoder.
    """
    state, metadata = load_state_dict_safely(weights_path(path))
    state = {k.removeprefix("image_encoder."): v for k, v in state.items()}  # a compact teacher's encoder
    wanted = {k: v for k, v in encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    if metadata.get("format") == COMPACT_FORMAT:
        wanted = {k: v for k, v in wanted.items() if not k.startswith("features.18.")}  # the teacher ends before it
    missing = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if missing:
        raise WeightsError(
            f"{Path(path).name}: {len(missing)} of {len(wanted)} weights of encoder '{name}' are missing or of another "
            f"shape, first {missing[0]}. Give a file made for '{name}', or set --encoder to the file's own encoder."
        )
    nn.Module.load_state_dict(encoder, {k: state[k].float() for k in wanted}, strict=False)
    folded: list[nn.Module] = [
        module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" in wanted and _folded(state)
    ]
    mean, std = _normalisation(metadata)
    return mean, std, folded


def _folded(state: dict[str, Tensor]) -> bool:
    """Tell whether every running mean is 0 and every running variance 1, as after folding into convolutions."""
    means = [v for k, v in state.items() if k.endswith("running_mean")]
    variances = [v for k, v in state.items() if k.endswith("running_var")]
    return bool(means) and all(bool((v == 0).all()) for v in means) and all(bool((v == 1).all()) for v in variances)


def _normalisation(metadata: dict[str, str]) -> tuple[RGB, RGB]:
    if "mean" in metadata and "std" in metadata:
        return tuple(json.loads(metadata["mean"])), tuple(json.loads(metadata["std"]))
    centred = metadata.get("input", "").startswith("x/127.5-1") or metadata.get("format") == COMPACT_FORMAT
    return CENTRED if centred else IMAGENET
