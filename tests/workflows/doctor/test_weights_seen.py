from __future__ import annotations

from pathlib import Path

import pytest

from labelmine.bundle import bundle_root
from labelmine.data import Item
from labelmine.teachers import CompactTeacher, build_compact_teacher, save_compact_teacher
from labelmine.weights import KNOWN_WEIGHTS
from labelmine.workflows.doctor.weights_seen import judge_weights


def test_the_teacher_that_saw_an_image_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    items = [Item(id=name, image=str(tmp_path / f"{name}.png"), group=name) for name in ("a", "b", "c")]
    save_compact_teacher(CompactTeacher(64), tmp_path / "mine.safetensors", [tmp_path / "a.png", tmp_path / "b.png"])
    teacher = build_compact_teacher(str(tmp_path / "mine.safetensors"))
    first, *others = judge_weights(items, teacher)
    assert (first.name, first.seen, first.chosen) == ("mine", 2, True)
    assert "has seen 2 of these images" in first.in_words()
    assert [one.name for one in others] == list(KNOWN_WEIGHTS)
    seen = {one.name: one.seen for one in others}
    assert (seen["compact"], seen["compact_no_busi"], seen["sam_vit_b"]) == (0, 0, None)
    assert {one.name: one.licence for one in others}["medsam_vit_b"] == "CC-BY-4.0"


@pytest.mark.shared
def test_shipped_weights_know_what_they_saw(shared_data: Path) -> None:
    images = sorted((shared_data / "busi" / "images").iterdir())[:5]
    items = [Item(id=path.stem, image=str(path), group=path.stem) for path in images]
    assert (bundle_root() / "models" / "compact.safetensors").is_file()
    seen = {one.name: one.seen for one in judge_weights(items, build_compact_teacher("compact"))}
    assert (seen["compact"], seen["compact_no_busi"]) == (5, 0)
