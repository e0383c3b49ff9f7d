from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from torch import Tensor, nn

from labelmine.data import ClassMap, ImageSet, Item
from labelmine.errors import ConfigError
from labelmine.synthesis import Generator, Made, Recipe, deformed, generator_views, make_candidates, write_candidates
from labelmine.synthesis.generator import CONTENTS

SIDE = 16
QUICK: dict[str, Any] = {"count": 6, "steps": 2, "batch_size": 4, "opening": 0}


def generator(content: Any = "pairs", clusters: int = 0) -> Generator:
    """An untrained one whose every weight speaks: MONAI starts the last layer at zero."""
    torch.manual_seed(0)
    made = Generator(
        ["a"], SIDE, content, channels=(32, 32), attention=(False, True), res_blocks=1, clusters=clusters
    ).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.05)
    return made


def gold(count: int = 3) -> list[dict[str, Any]]:
    """Squares with one lesion each."""
    draws = torch.Generator().manual_seed(1)
    rows = []
    for number in range(count):
        label = -torch.ones(1, SIDE, SIDE)
        label[:, 4 + number : 8 + number, 5:9] = 1
        image = torch.rand(3, SIDE, SIDE, generator=draws) * 1.8 - 0.9
        rows.append({"id": f"gold{number}", "image": image, "label": label})
    return rows


def heard(made: Generator, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """Collect what a generator is told besides noise and times, call by call."""
    calls: list[dict[str, Tensor]] = []
    answer = made.forward

    def listen(noisy: Tensor, times: Tensor, **told: Tensor) -> Tensor:
        calls.append(told)
        return answer(noisy, times, **told)

    monkeypatch.setattr(made, "forward", listen)
    return calls


def sources(made: Made, rows: list[dict[str, Any]], key: str) -> Tensor:
    return torch.stack([row[key] for name in made.sources for row in rows if row["id"] == name])


@pytest.mark.parametrize("content", CONTENTS)
def test_a_batch_depends_on_its_place_and_the_seed_alone(content: Any) -> None:
    network, rows = generator(content), gold()
    first, second = make_candidates(network, rows, Recipe(**QUICK))
    (again,) = make_candidates(network, rows, Recipe(**QUICK), skip=frozenset(first.ids))
    assert first.ids == [f"synthetic_{n:05d}" for n in range(4)]
    assert again.ids == second.ids == ["synthetic_00004", "synthetic_00005"]
    assert first.sources + second.sources == ["gold0", "gold1", "gold2"] * 2
    assert torch.equal(again.images, second.images)
    assert first.images.shape == (4, 3, SIDE, SIDE)
    assert first.images.min() >= 0
    assert first.images.max() <= 1
    if content == "images":
        assert first.masks is again.masks is None
    else:
        assert again.masks is not None
        assert second.masks is not None
        assert again.masks.dtype == bool
        np.testing.assert_array_equal(again.masks, second.masks)
    other = next(make_candidates(network, rows, Recipe(**QUICK, seed=1)))
    assert not torch.equal(other.images, first.images)


def test_a_batch_that_is_there_in_part_is_made_whole() -> None:
    network, rows = generator(), gold()
    first, _ = make_candidates(network, rows, Recipe(**QUICK))
    again = next(make_candidates(network, rows, Recipe(**QUICK), skip=frozenset(first.ids[:3])))
    assert again.ids == first.ids
    assert torch.equal(again.images, first.images)


@pytest.mark.parametrize("content", ["pairs", "images_on_masks"])
def test_inpainting_makes_lesions_of_bent_masks_and_leaves_what_lies_outside_the_hole(content: Any) -> None:
    rows = gold()
    for start, made in enumerate(make_candidates(generator(content), rows, Recipe(**QUICK, inpaint=True, seed=3))):
        assert made.masks is not None
        real, lesions = (sources(made, rows, "image") + 1) / 2, sources(made, rows, "label") > 0
        np.testing.assert_array_equal(made.masks, deformed(lesions.float(), 3_000_009 + 4 * start).numpy() > 0.5)
        marked = lesions.numpy().any(1) | made.masks.any(1)
        hole = np.stack([binary_dilation(one, np.ones((5, 5))) for one in marked])  # 0.1 of 16 pixels: 2 to each side
        outside = torch.from_numpy(~hole)[:, None]
        assert 0 < int(outside.sum()) < outside.numel()
        torch.testing.assert_close(made.images * outside, real * outside, atol=1e-6, rtol=0)
        changed = (made.images - real).abs().amax(1) > 1e-3
        assert (changed.flatten(1).sum(1) > 0.9 * torch.from_numpy(hole).flatten(1).sum(1)).all()


def test_new_lesions_are_made_in_images_that_have_one() -> None:
    rows = gold()
    rows[1]["label"] = -torch.ones(1, SIDE, SIDE)
    sampled = [
        name for made in make_candidates(generator(), rows, Recipe(**QUICK, inpaint=True)) for name in made.sources
    ]
    assert sampled == ["gold0", "gold2"] * 3
    whole = [name for made in make_candidates(generator(), rows, Recipe(**QUICK)) for name in made.sources]
    assert whole == ["gold0", "gold1", "gold2"] * 2


def test_the_recipe_s_fresh_noise_is_drawn() -> None:
    plain, fresh = (next(make_candidates(generator(), gold(), Recipe(**QUICK, eta=eta))) for eta in (0.0, 1.0))
    assert not torch.allclose(plain.images, fresh.images, atol=0.01)


def test_inpainting_without_masks_is_refused() -> None:
    rows = [{key: row[key] for key in ("id", "image")} for row in gold()]
    with pytest.raises(ConfigError, match=r"^inpaint: a hole is made around a lesion.*Give --content pairs$"):
        next(make_candidates(generator("images"), rows, Recipe(**QUICK, inpaint=True)))


def test_inpainting_images_that_get_no_masks_is_refused() -> None:
    # Admission would compare whole made images with the lesions of gold: the copy test would say nothing.
    with pytest.raises(ConfigError, match="inpaint"):
        next(make_candidates(generator("images"), gold(), Recipe(**QUICK, inpaint=True)))


def test_images_on_masks_come_with_the_masks_they_were_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network, rows = generator("images_on_masks"), gold()
    calls = heard(network, monkeypatch)
    made = next(make_candidates(network, rows, Recipe(**QUICK, seed=3)))
    assert made.masks is not None
    assert len(calls) == 2  # steps
    for told in calls:
        np.testing.assert_array_equal(made.masks, told["masks"].numpy() > 0.5)
    plain = (sources(made, rows, "label") > 0).float()
    np.testing.assert_array_equal(made.masks, deformed(plain, 3 * 1_000_003).numpy() > 0.5)
    assert (made.masks != plain.numpy().astype(bool)).any(axis=(1, 2, 3)).all()  # bent, not copied


def test_a_candidate_is_of_the_kind_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    network, rows = generator(clusters=3), gold()
    calls = heard(network, monkeypatch)
    next(make_candidates(network, rows, Recipe(**QUICK), {"gold0": 2, "gold1": 0, "gold2": 1}))
    assert calls[0]["clusters"].tolist() == [2, 0, 1, 2]


def test_histograms_are_matched_with_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = gold()
    raw = (
        torch.rand(4, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) - 0.5
    )  # no ties, unlike clipped noise
    monkeypatch.setattr("labelmine.synthesis.candidates.sample", lambda *args, **knobs: raw)
    plain = next(make_candidates(generator(), rows, Recipe(**QUICK)))
    torch.testing.assert_close(plain.images, (raw[:, :3] + 1) / 2)
    made = next(make_candidates(generator(), rows, Recipe(**QUICK, match_colours=True)))
    real = (sources(made, rows, "image") + 1) / 2
    # As many pixels, and none equal: the sorted values are the source's own, in the made image's order.
    torch.testing.assert_close(made.images.flatten(2).sort().values, real.flatten(2).sort().values, atol=1e-5, rtol=0)
    assert torch.equal(made.images.flatten(2).argsort(), plain.images.flatten(2).argsort())
    assert made.masks is not None
    np.testing.assert_array_equal(made.masks, raw[:, 3:].numpy() > 0)


@pytest.mark.parametrize("classes", [ClassMap(("liver", "tumour"), (1, 2)), ClassMap(("liver", "tumour"), (9, 300))])
def test_two_classes_come_back_from_their_files(tmp_path: Path, classes: ClassMap) -> None:
    masks = np.zeros((2, 2, SIDE, SIDE), dtype=bool)
    masks[0, 0, 2:6, 2:6] = masks[0, 1, 8:12, 3:9] = masks[1, 1, :4] = True
    made = Made(["synthetic_00000", "synthetic_00001"], ["a", "b"], torch.rand(2, 3, SIDE, SIDE), masks)
    write_candidates(made, tmp_path, classes)
    items = [
        Item(id=n, image=str(tmp_path / "images" / f"{n}.png"), label=str(tmp_path / "masks" / f"{n}.png"), group=n)
        for n in made.ids
    ]
    views = list(generator_views(items, ImageSet("made", tmp_path, items, classes, None, -1, {}), SIDE))
    for row, view in enumerate(views):
        np.testing.assert_array_equal(np.asarray(view["label"]) > 0, masks[row])
        torch.testing.assert_close(
            (torch.as_tensor(view["image"]) + 1) / 2, made.images[row], atol=0.5 / 255 + 1e-6, rtol=0
        )


def test_images_without_masks_write_none(tmp_path: Path) -> None:
    write_candidates(Made(["x"], ["a"], torch.ones(1, 3, 4, 5) * 0.5), tmp_path, ClassMap())
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")] == ["images/x.png"]
    with Image.open(tmp_path / "images" / "x.png") as image:
        assert (image.mode, image.size) == ("RGB", (5, 4))
        assert np.unique(np.asarray(image)).tolist() == [128]


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"count": 0}, "count: expected a whole number of 1 or more. Got: 0"),
        ({"batch_size": 0}, "generator_batch_size: expected a whole number of 1 or more. Got: 0"),
        ({"steps": 1001}, r"sampling_steps: expected a whole number in \[1, 1000\]\. Got: 1001"),
        ({"resamplings": 0}, r"resamplings: expected a whole number of 1 or more\. Got: 0"),
        ({"eta": -0.5}, r"eta: expected a number of 0 or more\. Got: -0\.5"),
        ({"style": 2.0}, r"style: expected a number in \[0, 1\]\. Got: 2\.0"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_all_work(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**knobs)
