"""A teacher whose decoder gold has fitted: it shares all else with the teacher that it came from.

Embeddings do not depend on the decoder, so a fitted teacher finds those of the original in the cache, and has its
``fingerprint``, its name and the hash of its weights; ``decoder_sha256`` tells the two apart.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import nn

from labelmine.errors import WeightsError
from labelmine.teachers.base import Teacher
from labelmine.teachers.cached import CachedTeacher
from labelmine.weights import load_state_dict_safely, sha256_of, write_weights

FORMAT = "labelmine-fitted-decoder"
#: Flipped axes of the views of gold whose embeddings are kept for a fit; a decoder learns from them alone.
FLIPS = ((), (-1,), (-2,), (-2, -1))


def decoder_of(teacher: Teacher) -> nn.Module:
    """Return what gold may fit.

    Raises:
        ValueError: The teacher has no such part.
    """
    if teacher.decoder is None:
        raise ValueError(f"{teacher.name}: this teacher has no decoder that could be fitted")
    return teacher.decoder


def with_own_decoder(teacher: Teacher) -> Teacher:
    """Return a teacher whose decoder is a copy, which may be fitted; all other weights are shared.

    Raises:
        ValueError: It has no decoder to fit.
    """
    own = {id(module) for module in decoder_of(teacher).modules()}
    if isinstance(teacher, CachedTeacher):
        return CachedTeacher(with_own_decoder(teacher.teacher), teacher.cache)
    if not isinstance(teacher, nn.Module):
        raise ValueError(f"{teacher.name}: expected a torch module, whose weights can be shared")
    around = {id(module) for module in teacher.modules() if own & {id(child) for child in module.modules()}}
    shared: dict[int, Any] = {id(module): module for module in teacher.modules() if id(module) not in around}
    shared |= {id(tensor): tensor for module in shared.values() for tensor in module.parameters()}
    twin: Teacher = copy.deepcopy(teacher, shared)
    return twin


def save_decoder(teacher: Teacher, path: str | Path) -> Path:
    """Write the decoder of a fitted teacher as half-precision safetensors that name the teacher it belongs to."""
    path = Path(path)
    state = decoder_of(teacher).state_dict()
    halves = {k: (v.half() if v.is_floating_point() else v).detach().cpu().contiguous() for k, v in state.items()}
    write_weights(path, halves, {"format": FORMAT, "teacher": teacher.name, "sha256": teacher.weights_sha256})
    return path


def load_fitted(teacher: Teacher, path: str | Path) -> Teacher:
    """Return a teacher with the decoder that was saved, frozen.

    Raises:
        WeightsError: A file of another form, or of another teacher's decoder.
    """
    path = Path(path)
    if isinstance(teacher, CachedTeacher):
        return CachedTeacher(load_fitted(teacher.teacher, path), teacher.cache)
    state, about = load_state_dict_safely(path)
    if about.get("format") != FORMAT:
        raise WeightsError(f"{path.name}: expected a decoder that mine.yaml fitted. Got: weights of another kind")
    if about.get("sha256") != teacher.weights_sha256:
        raise WeightsError(
            f"{path.name}: expected the decoder of this teacher, '{teacher.name}' (weights' sha256 "
            f"{teacher.weights_sha256[:12]}), got one of '{about.get('teacher')}' ({about.get('sha256', '')[:12]}). "
            "Give the --teacher_weights and the teacher's overlay of that run"
        )
    fitted = with_own_decoder(teacher)
    decoder = decoder_of(fitted)
    own = decoder.state_dict()
    try:
        decoder.load_state_dict({k: v.to(own[k].dtype) if k in own else v for k, v in state.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path.name}: the weights do not fit this teacher's decoder: {str(error)[:300]}") from error
    decoder.eval().requires_grad_(False)
    fitted.decoder_sha256 = sha256_of(path)
    return fitted
