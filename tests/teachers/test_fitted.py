"""A fitted decoder is a teacher's own copy: nothing else learns or is saved, and no other teacher takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from labelmine.errors import WeightsError
from labelmine.prompts import Prompts
from labelmine.teachers import CachedTeacher, CompactTeacher, EmbeddingCache, Teacher, TeacherMasks
from labelmine.teachers.build import frozen
from labelmine.teachers.fitted import load_fitted, save_decoder, with_own_decoder
from makers import learnt_a_little

SIDE = 64
ASKED = Prompts(
    image_index=torch.tensor([0, 1]),
    class_index=torch.tensor([0, 0]),
    boxes=torch.tensor([[4.0, 4, 30, 30], [10, 20, 50, 60]]),
)


def compact(sha256: str = "abc") -> CompactTeacher:
    torch.manual_seed(0)
    return frozen(CompactTeacher(SIDE, weights_sha256=sha256))


def answers(teacher: Teacher) -> torch.Tensor:
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return teacher.decode(teacher.encode(images), ASKED, (SIDE, SIDE)).logits


def test_all_but_the_decoder_is_shared() -> None:
    teacher = compact()
    twin = with_own_decoder(teacher)
    assert isinstance(twin, CompactTeacher)
    assert all(a is b for a, b in zip(teacher.image_encoder.parameters(), twin.image_encoder.parameters(), strict=True))
    assert not {*map(id, teacher.mask_decoder.parameters())} & {*map(id, twin.mask_decoder.parameters())}
    assert twin.fingerprint == teacher.fingerprint
    assert torch.equal(answers(teacher), answers(twin))


def test_the_original_stays_as_it_was() -> None:
    teacher = compact()
    before = answers(teacher)
    learnt_a_little(with_own_decoder(teacher), ASKED)
    assert torch.equal(answers(teacher), before)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_what_was_saved_answers_the_same(tmp_path: Path) -> None:
    teacher = compact()
    fitted = learnt_a_little(with_own_decoder(teacher), ASKED)
    again = load_fitted(teacher, save_decoder(fitted, tmp_path / "decoder.safetensors"))
    torch.testing.assert_close(answers(again), answers(fitted), atol=0.05, rtol=0.01)  # half precision
    assert (answers(again) - answers(teacher)).abs().max() > 0.1
    assert len(again.decoder_sha256) == 64
    assert teacher.decoder_sha256 == ""


def test_a_cached_teacher_keeps_its_cache(tmp_path: Path) -> None:
    cached = CachedTeacher(compact(), EmbeddingCache(tmp_path / "cache"))
    answers(cached)
    fitted = load_fitted(cached, save_decoder(with_own_decoder(cached), tmp_path / "decoder.safetensors"))
    answers(fitted)
    assert isinstance(fitted, CachedTeacher)
    assert cached.cache.statistics.hits == 2
    assert fitted.decoder_sha256 == fitted.teacher.decoder_sha256 != ""


def test_the_decoder_of_another_teacher_is_refused(tmp_path: Path) -> None:
    path = save_decoder(compact("of another"), tmp_path / "decoder.safetensors")
    with pytest.raises(WeightsError, match="expected the decoder of this teacher, 'compact'"):
        load_fitted(compact(), path)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError):
        load_fitted(compact(), path)


def test_a_teacher_without_a_decoder_is_not_fitted() -> None:
    class Other(Teacher):
        name, weights_sha256, fingerprint = "other", "", ""

        def encode(self, images: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError

        def decode(self, embeddings: torch.Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
            raise NotImplementedError

    with pytest.raises(ValueError, match="other: this teacher has no decoder"):
        with_own_decoder(Other())
