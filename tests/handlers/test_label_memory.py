from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labelmine.data import ClassMap, Item, LabelStore
from labelmine.errors import DataError
from labelmine.handlers import InFiles, InMemory
from labelmine.labelers import PseudoLabel, Refusal
from labelmine.transforms import StudentView

SIZES = [(48, 96), (70, 50)]


def views() -> dict[str, Any]:
    """Two views of images with a bright left half, of other sizes than the view."""
    view = StudentView(64)
    samples = []
    for height, width in SIZES:
        label = torch.zeros(1, height, width)
        label[..., : width // 2] = 1
        samples.append(view({"image": torch.rand(3, height, width), "label": label}))
    batch: dict[str, Any] = {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
    return {**batch, "id": ["image_000", "image_001"]}


def answer(batch: dict[str, Any], weight: torch.Tensor) -> PseudoLabel:
    return PseudoLabel(
        mask=batch["label"],
        weight=weight,
        score=torch.tensor([0.75, 0.25]),
        accepted=torch.tensor([True, False]),
        refusal=[None, Refusal.low_score(0.25, 0.5)],
        source={"labeler": "test", "teacher": "none", "teacher_sha256": ""},
        prompts=[[{"box": [0.0, 0.0, 5.0, 5.0]}], []],
    )


def uniform() -> torch.Tensor:
    return torch.tensor([0.75, 0.0]).reshape(2, 1, 1, 1).expand(2, 1, 64, 64)


@pytest.fixture
def in_files(tmp_path: Path, make_items: Callable[..., list[Item]]) -> Callable[[], InFiles]:
    return lambda: InFiles(LabelStore(tmp_path / "labels", ClassMap()), make_items(3), StudentView(64))


def test_in_memory_gives_back_what_it_got() -> None:
    batch, memory = views(), InMemory()
    memory.add(batch, answer(batch, uniform()))
    assert memory.done == {"image_000", "image_001"}
    mask, weight = memory.get("image_000")
    assert torch.equal(mask, batch["label"][0])
    assert torch.equal(weight, uniform()[0])


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("uniform_weight", [True, False])
def test_in_memory_survives_a_checkpoint(classes: int, uniform_weight: bool, tmp_path: Path) -> None:
    batch, memory = views(), InMemory()
    mask = torch.rand(2, classes, 64, 64).round()
    weight = uniform() if uniform_weight else torch.rand(2, 1, 64, 64).round()
    memory.add(batch, replace(answer(batch, weight), mask=mask))
    torch.save(memory.state_dict(), tmp_path / "state.pt")
    again = InMemory()
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.done == memory.done
    for index, image_id in enumerate(batch["id"]):
        got = again.get(image_id)
        assert torch.equal(got[0], mask[index])
        assert torch.equal(got[1], weight[index])


def test_in_memory_names_an_image_that_was_never_labelled() -> None:
    with pytest.raises(DataError, match=r"image_007: no pseudo label. The loader of unlabelled images must hold"):
        InMemory().get("image_007")


def test_files_are_found_again_by_the_next_run(in_files: Callable[[], InFiles]) -> None:
    batch = views()
    in_files().add(batch, answer(batch, uniform()))

    memory = in_files()

    assert memory.done == {"image_000", "image_001"}
    for index, image_id in enumerate(batch["id"]):
        mask, weight = memory.get(image_id)
        assert torch.equal(mask, batch["label"][index])
        assert weight.amax() == pytest.approx(float(uniform()[index].amax()))
        assert (weight[batch["weight"][index] == 0] == 0).all(), "padding must not count"


def test_files_hold_masks_at_the_original_size(in_files: Callable[[], InFiles]) -> None:
    batch, memory = views(), in_files()
    memory.add(batch, answer(batch, uniform()))
    masks = [memory.store.read(memory.items[image_id])[0] for image_id in batch["id"]]
    assert [mask.shape[1:] for mask in masks] == SIZES


def test_manifest_says_what_was_decided(in_files: Callable[[], InFiles]) -> None:
    batch, memory = views(), in_files()
    memory.add(batch, answer(batch, uniform()))
    first, second = memory.store.records()
    assert first["prompts"] == [{"box": [0.0, 0.0, 5.0, 5.0]}]
    assert (first["score"], first["accepted"], first["reason"], first["explanation"]) == (0.75, True, "", "")
    assert (first["drawn_by"], first["view_size"], first["teacher_size"]) == ("labeler", 64, 64)
    assert (second["accepted"], second["weight"]) == (False, 0.0)
    assert (second["reason"], second["explanation"]) == ("low_score", "score 0.25 is below 0.5")
    assert [item["id"] for item in memory.store.accepted_items(memory.items.values())] == ["image_000"]


def test_manifest_says_what_the_teacher_saw(in_files: Callable[[], InFiles]) -> None:
    batch, memory = {**views(), "teacher_image": torch.zeros(2, 3, 256, 256, dtype=torch.uint8)}, in_files()
    memory.add(batch, answer(batch, uniform()))
    assert [record["teacher_size"] for record in memory.store.records()] == [256, 256]


def test_pixel_weights_survive_in_files(in_files: Callable[[], InFiles]) -> None:
    batch, memory = views(), in_files()
    weight = torch.zeros(2, 1, 64, 64)
    weight[..., :32] = 1
    memory.add(batch, answer(batch, weight))
    _, read = in_files().get("image_000")
    inside = batch["weight"][0] > 0
    assert ((read - weight[0]).abs() < 0.02)[inside].float().mean() > 0.95  # bilinear there and back blurs the edge
