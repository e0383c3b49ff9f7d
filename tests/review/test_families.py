"""Every family of teachers answers the page's clicks and boxes, from the cache where it saw the image before."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelmine.exchange.decisions import DecisionLog
from labelmine.review import Cases, Corrector, ReviewSession
from labelmine.review.pictures import from_stacked_png, stacked_png
from labelmine.review.steps import redrawn
from labelmine.teachers import CompactTeacher, HuggingFaceTeacher, SamTeacher, Teacher, build_cached_teacher
from teacher_makers import small_sam, square, tiny_sam2

SIZE = (1, 96, 96)
BOX = {"class": 0, "box": [12, 14, 70, 66]}
CLICKS = {"class": 0, "points": [[40, 40], [20, 70]], "point_labels": [1, 0]}


def sam2() -> HuggingFaceTeacher:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = tiny_sam2().eval()
    with torch.no_grad():  # answers of fresh weights are all of one sign
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight *= 50
    processor = transformers.Sam2Processor(square("Sam2ImageProcessor", 64))
    return HuggingFaceTeacher(model, processor, name="tiny_sam2", weights_sha256="2")


def compact() -> CompactTeacher:
    torch.manual_seed(0)
    return CompactTeacher(64, name="tiny").eval()


FAMILIES: dict[str, Callable[[], Teacher]] = {
    "compact": compact,
    "sam": lambda: SamTeacher(small_sam(), name="tiny_sam", weights_sha256="0"),
    "medsam": lambda: SamTeacher(small_sam(1), "medsam", name="tiny_medsam", weights_sha256="1"),
    "sam2": sam2,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_clicks_and_boxes_are_answered_from_the_cache(
    family: str, make_session: Callable[..., ReviewSession], serve_page: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    teacher = FAMILIES[family]()
    bare = make_session(with_teacher=False)
    session = with_teacher(bare, teacher, tmp_path)
    served = serve_page(session)
    assert served.json("GET", "/api/overview")["teacher"] == teacher.name
    first = {name: asked(served, prompt) for name, prompt in (("box", BOX), ("clicks", CLICKS))}
    assert any(0 < mask.mean() < 1 for mask in first.values())
    steps = [{"tool": "clear", "class": 0}, {"tool": "box", **BOX}]
    about = served.json("GET", "/api/case/0")
    said = {"verdict": "corrected", "seconds": 2, "prompts": [BOX], "tools": {"clear": 1, "box": 1}, "steps": steps}
    said |= {"label_sha256": about["label_sha256"], "seen": about["seen"]}
    served.json("POST", "/api/case/0/decide", {**said, "mask": base64.b64encode(stacked_png(first["box"])).decode()})
    (decision,) = session.log.decisions
    assert decision.teacher["teacher_sha256"] == teacher.weights_sha256
    served.stop()

    # Another server finds the embedding in the cache: the encoder is not asked again.
    monkeypatch.setattr(teacher, "encode", lambda *_: pytest.fail("the image was encoded again"))
    later = with_teacher(bare, teacher, tmp_path)
    again = serve_page(later)
    for name, prompt in (("box", BOX), ("clicks", CLICKS)):
        assert (asked(again, prompt) == first[name]).all()
    mask = redrawn(later.cases.label(0), decision.steps, lambda prompt: later.ask(0, prompt).mask, exclusive=True)
    assert (mask == session.log.mask(decision)).all()


def with_teacher(session: ReviewSession, teacher: Teacher, folder: Path) -> ReviewSession:
    cached = build_cached_teacher(teacher, str(folder / "cache"), 1)
    cases: Cases = session.cases
    log = DecisionLog(session.log.folder, cases.images.classes)
    return ReviewSession(cases, log, Corrector(cached, cases.images))


def asked(served: Any, prompt: dict[str, Any]) -> np.ndarray:
    status, content, _ = served.ask("POST", "/api/case/0/ask", prompt)
    assert status == 200, content
    return np.asarray(from_stacked_png(content, SIZE))
