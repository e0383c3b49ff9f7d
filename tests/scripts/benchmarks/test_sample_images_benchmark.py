"""The benchmark of sampling runs, counts network calls right, and takes no generator of other gold."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_images
import torch
from torch import Tensor

from labelmine.data import prepare_image_set
from labelmine.errors import DataError
from labelmine.synthesis import Generator, KeepKnown, NoiseProcess, deformed, frechet_distance, generator_views
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.workflows.synthesize import build_feature_network
from labelmine.workflows.synthesize.generator_training import gold_digests

TINY: dict[str, Any] = {"image_size": 16, "channels": (32, 32), "attention": (False, False), "res_blocks": 1}
STEPS = ["--steps", "3", "2", "--reference_steps", "7", "--repaint_steps", "4", "--repaint_resamplings", "2"]


@pytest.fixture
def run(
    tmp_path: Path, phantom_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[], None]]:
    """Maker of a benchmark that is ready to run with a random generator: ``run("flow", "pairs")()``."""

    def make(kind: Any, content: Any = "pairs", clusters: int = 0, other_gold: bool = False) -> Callable[[], None]:
        torch.manual_seed(0)
        dataset = phantom_folder(24, size=32)
        images = prepare_image_set(str(dataset), str(tmp_path / "run"))
        generator = Generator(["lesion"], content=content, kind=kind, clusters=clusters, **TINY)
        trained_on = gold_digests(images)[int(other_gold) :]
        generator.save(tmp_path / "generator.safetensors", trained_on=trained_on, seed=0)
        teacher = save_compact_teacher(CompactTeacher(64), tmp_path / "random.safetensors")
        given = ["--generator_file", str(tmp_path / "generator.safetensors"), "--dataset_dir", str(dataset)]
        given += ["--split_file", str(tmp_path / "run" / "split.json"), "--json", str(tmp_path / "figures.json")]
        given += ["--feature_network", str(teacher), "--images", "4", "--batch_size", "2", *STEPS]
        monkeypatch.setattr(sys, "argv", ["sample_images.py", *given])
        return sample_images.main

    return make


@pytest.mark.parametrize(
    ("kind", "content", "clusters", "many"),
    [
        ("flow", "pairs", 0, "ancestral, 7 steps"),
        ("v_prediction", "images", 0, "ancestral DDPM, 7 steps"),
        ("v_prediction", "images_on_masks", 2, "ancestral DDPM, 7 steps"),
    ],
)
def test_figures_and_network_calls(
    kind: str,
    content: str,
    clusters: int,
    many: str,
    run: Callable[..., Callable[[], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []
    forward = Generator.forward

    def counted(self: Generator, noisy: Tensor, *rest: Any, **told: Any) -> Tensor:
        asked.append(len(noisy))
        return forward(self, noisy, *rest, **told)

    monkeypatch.setattr(Generator, "forward", counted)
    run(kind, content, clusters)()
    printed = capsys.readouterr().out.splitlines()
    record = json.loads(printed[-1])
    rows = {row["way"]: row for row in record["sampling"] + record["inpainting"]}
    calls = {many: 7, "labelmine, 3 steps": 3, "labelmine, 2 steps": 2}
    calls |= {"RePaint, 4 steps x 2": 8, "labelmine inpainting, 3 steps": 3}
    assert {name: row["calls"] for name, row in rows.items()} == calls
    assert asked == [2] * (2 * sum(calls.values()) + 1)  # two rounds, and the warm-up

    assert all(row["images_per_second"] > 0 and row["frechet"] > 0 for row in rows.values())
    assert [name for name, row in rows.items() if "ratio" not in row] == [many, "RePaint, 4 steps x 2"]
    assert (rows["labelmine, 3 steps"]["bar"], rows["labelmine inpainting, 3 steps"]["bar"]) == (15.0, 10.0)
    own, reference = rows["labelmine inpainting, 3 steps"], rows["RePaint, 4 steps x 2"]
    assert own["frechet_ratio"] == pytest.approx(own["frechet"] / reference["frechet"])
    assert record["name"] == "sample_images"
    assert record["ratio"] == pytest.approx(rows["labelmine, 3 steps"]["ratio"], abs=1e-3)
    assert "not Inception" in record["feature_network"]
    lines = [line for line in printed if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| way", "| ---", *(f"| {name}" for name in rows)]
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written == {key: record[key] for key in written}
    assert {"sampling", "inpainting"} <= set(written)


def test_rows_are_held_against_the_first_and_the_bars() -> None:
    batch = sample_images.Batch(0, KeepKnown(torch.zeros(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)), {})
    ways = {}
    for name, calls in (("many", 40), ("few", 2), ("fewer", 1)):
        way = ways[name] = sample_images.Way(None, [batch, batch], lambda network, batch: batch.lesion.images)
        way(), way()
        way.calls = 2 * calls
    seconds = {"many": [20.0, 40.0], "few": [1.0, 2.0], "fewer": [2.0, 4.0]}
    _, few, fewer = sample_images.figures_of(ways, seconds, {"many": 5.0, "few": 5.6, "fewer": 5.4}, bar=15.0)
    assert (few["calls"], few["images_per_second"], few["ratio"], few["met"]) == (2, 1.5, 20.0, True)
    assert (fewer["calls"], fewer["images_per_second"], fewer["ratio"], fewer["met"]) == (1, 0.75, 10.0, False)
    assert (few["frechet_met"], fewer["frechet_met"]) == (False, True)
    table = sample_images.table([few, fewer], "random").splitlines()
    assert "20.00x (20.00 to 20.00), bar 15x met | 5.6 | 1.120, bar at most 1.1 **missed** |" in table[2]
    assert "10.00x (10.00 to 10.00), bar 15x **missed** | 5.4 | 1.080, bar at most 1.1 met |" in table[3]


def test_ancestral_sampling_of_a_network_that_knows_the_image_makes_it() -> None:
    image = torch.rand(2, 3, 8, 8) * 1.6 - 0.8
    process = NoiseProcess("v_prediction")
    asked: list[int] = []

    def knows(noisy: Tensor, times: Tensor) -> Tensor:
        asked.append(int(times[0]))
        signal, sigma = process.levels(asked[-1])
        return signal * (noisy - signal * image) / sigma - sigma * image

    torch.testing.assert_close(sample_images.ancestral(knows, image), image, atol=1e-3, rtol=0)
    assert asked == list(range(999, -1, -1))


def test_each_batch_has_its_own_gold_and_a_hole_around_its_lesion() -> None:
    generator = Generator(["lesion"], **TINY)
    label = -torch.ones(1, 16, 16)
    label[:, 6:8, 6:8] = 1
    views = [{"id": str(n), "image": torch.full((3, 16, 16), n / 10), "label": label} for n in range(3)]
    first, second = sample_images.batches_of(generator, views, {}, count=2, batch_size=2)
    shown = [round(float(value) * 10) for batch in (first, second) for value in batch.lesion.images[:, 0, 0, 0]]
    assert shown == [0, 1, 2, 0]
    assert first.seed != second.seed
    drawn, hole = first.lesion.images[:, 3:], first.lesion.hole
    assert torch.equal(drawn, 2 * deformed((label > 0).float().expand(2, 1, 16, 16), first.seed) - 1)
    own = torch.zeros(16, 16)
    own[4:10, 4:10] = 1  # a tenth of 16 px beyond the image's own lesion
    assert ((hole[:, 0] >= own) & (hole[:, 0] >= drawn[:, 0])).all()
    assert not hole[:, 3:].any()  # the mask is given


def test_inpainting_alone_keeps_gold_around_the_hole() -> None:
    known, hole = torch.rand(2, 4, 16, 16) * 1.6 - 0.8, torch.zeros(2, 1, 16, 16)
    hole[..., 4:10, 4:10] = 1
    batch = sample_images.Batch(0, KeepKnown(known, hole), {})
    args = argparse.Namespace(steps=[3, 2], reference_steps=5, repaint_steps=3, repaint_resamplings=2)
    args.eta, args.inpainting_eta = 1.5, 3.0
    generator = Generator(["lesion"], **TINY).eval()
    sampling, inpainting = sample_images.ways_of(generator, [batch], args)
    for way in (*sampling.values(), *inpainting.values()):
        way()
    outside = hole.expand_as(known) == 0
    assert all(torch.allclose(way.made[0][outside], known[outside]) for way in inpainting.values())
    assert not any(torch.allclose(way.made[0][~outside], known[~outside]) for way in inpainting.values())
    assert not any(torch.allclose(way.made[0][outside], known[outside]) for way in sampling.values())


def test_images_are_compared_with_all_gold_that_trains(
    run: Callable[..., Callable[[], None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Tensor, Tensor]] = []

    def kept(made: Tensor, real: Tensor) -> float:
        compared.append((made, real))
        return frechet_distance(made, real)

    monkeypatch.setattr(sample_images, "frechet_distance", kept)
    run("flow")()
    images = prepare_image_set(str(tmp_path / "dataset"), str(tmp_path / "run"))
    gold = torch.stack([(view["image"] + 1) / 2 for view in generator_views(images.train, images, 16)])
    features = build_feature_network(str(tmp_path / "random.safetensors"))(gold)
    assert [len(made) for made, _ in compared] == [4] * 5
    assert all(torch.allclose(real, features) for _, real in compared)


def test_a_generator_of_other_gold_is_refused(run: Callable[..., Callable[[], None]]) -> None:
    main = run("flow", other_gold=True)
    with pytest.raises(DataError, match=r"generator.safetensors was trained on other gold. Give --dataset_dir"):
        main()


@pytest.mark.parametrize(("images", "batch_size"), [("5", "2"), ("1", "1"), ("4", "0")])
def test_images_come_in_whole_batches(
    images: str, batch_size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--generator_file", "g", "--dataset_dir", "d", "--split_file", "s"]
    monkeypatch.setattr(sys, "argv", ["sample_images.py", *given, "--images", images, "--batch_size", batch_size])
    with pytest.raises(SystemExit):
        sample_images.main()
    expected = f"expected a multiple of --batch_size {batch_size}, 2 or more. Got: {images}"
    assert expected in capsys.readouterr().err
