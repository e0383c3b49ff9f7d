from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from labelmine.data import ImageSet, LabelStore, prepare_image_set, read_label
from labelmine.data.phantom import phantom
from labelmine.errors import ConfigError, DataError
from labelmine.exchange import corrections_reader, read_corrections
from labelmine.exchange.cvat import decode_cvat_xml
from labelmine.networks import Student
from labelmine.prediction import Predictor, image_embeddings
from labelmine.review import write_review
from labelmine.workflows.review import Review
from makers import knobs_of


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    student = Student(["foreground"], encoder="mobilenet_v2")
    for layer in student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():  # without statistics of its own layers, features of a network that learnt nothing vanish
        student.train()(
            torch.stack([torch.from_numpy(phantom(1, n, 64)[0]) for n in range(8)]).permute(0, 3, 1, 2) / 255
        )
    return Predictor(student, 64)


def labelled(images: ImageSet, folder: Path) -> LabelStore:
    """Half of the masks are right, with a score that falls from image to image."""
    store = LabelStore(folder / "labels", images.classes, images.root)
    for number, item in enumerate(images.unlabeled):
        mask = read_label(item, item["dropped_label"], images.classes)
        score = 0.9 - 0.05 * number
        accepted = score > 0.5
        store.write(
            item, mask, {"score": score, "accepted": accepted, "explanation": "" if accepted else "score too low"}
        )
    return store


@pytest.fixture
def images(tmp_path: Path, phantom_folder: Callable[..., Path]) -> ImageSet:
    return prepare_image_set(str(phantom_folder(20)), str(tmp_path / "run"), labeled_fraction=0.25)


def test_ranked_table_and_folders(images: ImageSet, predictor: Predictor, tmp_path: Path) -> None:
    store = labelled(images, tmp_path / "run")
    table = write_review(tmp_path / "run", images, store, predictor, budget=3, diversity=0.3)
    again = pd.read_csv(tmp_path / "run" / "labels" / "review.csv", keep_default_na=False)
    assert list(again.columns) == [
        "rank", "id", "image", "selected", "expected_dice", "gain", "similarity", "reason",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(table, again, check_dtype=False)
    assert set(table["id"]) == {item["id"] for item in images.unlabeled}
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["selected"].tolist() == [True] * 3 + [False] * (len(table) - 3)
    assert table["id"][0] == images.unlabeled[-1]["id"]  # the lowest score, nothing in front of it
    assert table["expected_dice"].tolist() == pytest.approx((1 - table["gain"]).tolist())
    assert table["image"][0] == f"images/{table['id'][0]}.png"
    assert set(table["reason"]) <= {"accepted", "rejected: score too low"}
    assert table["reason"][0] == "rejected: score too low"

    chosen = table["id"][:3].tolist()
    shapes = decode_cvat_xml((tmp_path / "run" / "labels" / "review" / "cvat" / "annotations.xml").read_bytes())
    assert list(shapes) == [f"{name}.png" for name in chosen]
    for item in images.unlabeled:
        if item["id"] in chosen:
            masks = shapes[f"{item['id']}.png"][1]
            gold = read_label(item, item["dropped_label"], images.classes)[0] > 0
            assert (masks.get("foreground", np.zeros_like(gold)) == gold).all()


def test_no_folders_without_a_budget_or_when_not_wanted(images: ImageSet, predictor: Predictor, tmp_path: Path) -> None:
    store = labelled(images, tmp_path / "run")
    for wanted in ({"budget": 0}, {"folders": False}):
        table = write_review(tmp_path / "run", images, store, predictor, **wanted)  # type: ignore[arg-type]
        assert len(table) == len(images.unlabeled)
        assert not (tmp_path / "run" / "labels" / "review").exists()


def test_nothing_mined_gives_an_empty_table(images: ImageSet, predictor: Predictor, tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "run" / "labels", images.classes)
    assert write_review(tmp_path / "run", images, store, predictor).empty
    assert (tmp_path / "run" / "labels" / "review.csv").read_text().startswith("rank,id,image,selected")


@pytest.mark.parametrize("budget", [-1, 1.5, True])
def test_wrong_budget(budget: Any, images: ImageSet, predictor: Predictor, tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "run" / "labels", images.classes)
    with pytest.raises(ConfigError, match=f"whole number of 0 or more, images to correct. Got: {budget}"):
        write_review(tmp_path / "run", images, store, predictor, budget=budget)


def test_embeddings_find_the_copy(images: ImageSet, predictor: Predictor) -> None:
    first, *rest = images.unlabeled
    found = image_embeddings(predictor, [first, *rest, first], images)
    assert found[0] == pytest.approx(found[-1], abs=1e-4)
    assert np.abs(found[1:-1] - found[0]).max(axis=1).min() > 1e-3
    assert image_embeddings(predictor, [], images).shape == (0, 1)


def test_embeddings_ignore_the_padding(
    predictor: Predictor, tmp_path: Path, phantom_folder: Callable[..., Path]
) -> None:
    """Where the view is padded, only the features that lie on the image count."""
    dataset = phantom_folder(12, size=64)
    for path in (dataset / "images").iterdir():
        Image.open(path).crop((0, 0, 64, 32)).save(path)
        mask = dataset / "masks" / path.name
        Image.open(mask).crop((0, 0, 64, 32)).save(mask)
    images = prepare_image_set(str(dataset), str(tmp_path / "run"))
    item = images.train[0]
    inside = image_embeddings(predictor, [item], images)[0]
    padded = Image.new("RGB", (64, 64))
    padded.paste(Image.open(item["image"]))
    normed = (torch.from_numpy(np.array(padded)).permute(2, 0, 1)[None] / 255 - predictor.student.mean) / (
        predictor.student.std
    )
    with torch.no_grad():
        features = predictor.student.network.encoder(normed)[-1][0]
    assert features.shape[1:] == (2, 2)
    rows = [features[:, row].mean(dim=1).numpy() for row in range(2)]
    close = [bool(np.allclose(inside, row, atol=1e-3)) for row in rows]
    assert close.count(True) == 1


@pytest.fixture
def reviewed(predictor: Predictor, tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """Let the workflow review the run, whose student is in ``model``; return the table that it wrote."""
    predictor.student.save(tmp_path / "model" / "model.safetensors", image_size=64)
    folders = {"model_dir": str(tmp_path / "model"), "labels_dir": str(tmp_path / "run"), "device": "cpu"}

    def review(**knobs: Any) -> pd.DataFrame:
        Review(knobs_of("review", **{**folders, "budget": 20, **knobs})).start()
        return pd.read_csv(tmp_path / "run" / "labels" / "review.csv", keep_default_na=False)

    return review


def test_a_finished_run(
    images: ImageSet, predictor: Predictor, tmp_path: Path, reviewed: Callable[..., pd.DataFrame]
) -> None:
    labelled(images, tmp_path / "run")
    table = reviewed(dataset_dir=str(images.root), budget=2)
    assert set(table["id"]) == {item["id"] for item in images.unlabeled}
    assert table["selected"].sum() == 2
    store = LabelStore(tmp_path / "run" / "labels", images.classes, images.root)
    direct = write_review(tmp_path / "run", images, store, predictor, budget=2)
    pd.testing.assert_frame_equal(table, direct, check_dtype=False)


def test_the_folders_go_where_they_are_wanted(
    images: ImageSet, tmp_path: Path, reviewed: Callable[..., pd.DataFrame]
) -> None:
    labelled(images, tmp_path / "run")
    reviewed(dataset_dir=str(images.root), budget=2, output_dir=str(tmp_path / "expert"))
    assert not (tmp_path / "run" / "labels" / "review").exists()
    assert (tmp_path / "expert" / "README.txt").is_file()
    assert len(list((tmp_path / "expert" / "slicer").glob("*.seg.nrrd"))) == 2


def test_a_second_review_may_have_another_budget(
    images: ImageSet, tmp_path: Path, reviewed: Callable[..., pd.DataFrame]
) -> None:
    labelled(images, tmp_path / "run")
    for budget, diversity in ((2, 0.5), (4, 0.1)):
        table = reviewed(dataset_dir=str(images.root), budget=budget, diversity=diversity)
        assert table["selected"].sum() == budget
        assert len(list((tmp_path / "run" / "labels" / "review" / "slicer").glob("*.seg.nrrd"))) == budget


def test_what_cannot_be_reviewed(images: ImageSet, tmp_path: Path, reviewed: Callable[..., pd.DataFrame]) -> None:
    with pytest.raises(DataError, match="run: has no labels/; give --labels_dir the output folder"):
        reviewed()
    assert not (tmp_path / "run" / "labels").exists()
    LabelStore(tmp_path / "run" / "labels", images.classes)
    with pytest.raises(DataError, match="run: was no run on phantoms, and the images that it names"):
        reviewed()
    with pytest.raises(DataError, match="dataset: no image of it has a pseudo label in run; was it labelled"):
        reviewed(dataset_dir=str(images.root))


def test_the_page_finds_the_run_s_images_and_ranks_what_nobody_has_ranked(
    images: ImageSet, predictor: Predictor, tmp_path: Path
) -> None:
    labelled(images, tmp_path / "run")
    predictor.student.save(tmp_path / "run" / "model.safetensors", image_size=64)
    settings = {"workflow": "mine", "dataset_dir": str(images.root)}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(settings))
    session = Review(knobs_of("review", model_dir=str(tmp_path / "run"), device="cpu")).session
    table = pd.read_csv(tmp_path / "run" / "labels" / "review.csv")
    assert [case.item["id"] for case in session.cases.cases] == table["id"].tolist()
    assert session.corrector is None  # these settings name no teacher
    assert session.log.folder == tmp_path / "run" / "review"
    assert session.overview("ann")["cases"][0]["gold"]


@pytest.mark.shared
def test_real_ultrasounds_come_back_as_gold(predictor: Predictor, shared_data: Path, tmp_path: Path) -> None:
    """From gold masks of a few BUSI images to each tool's folder, and from there to the same masks."""
    dataset = tmp_path / "busi"
    for kind in ("images", "masks"):
        (dataset / kind).mkdir(parents=True)
        for path in sorted((shared_data / "busi" / kind).iterdir())[:14]:
            (dataset / kind / path.name).write_bytes(path.read_bytes())
    images = prepare_image_set(str(dataset), str(tmp_path / "run"), labeled_fraction=0.3)
    store = labelled(images, tmp_path / "run")
    write_review(tmp_path / "run", images, store, predictor, budget=3)
    review = tmp_path / "run" / "labels" / "review"
    for tool in ("slicer", "cvat"):
        (review / tool / "written.json").unlink()  # as if all were saved again
    final = review / "monai_label" / "labels" / "final"
    for path in (review / "monai_label" / "labels" / "original").iterdir():
        (final / path.name).write_bytes(path.read_bytes())
    for tool in ("monai_label", "slicer", "cvat"):
        found = read_corrections(review / tool, images.items, images.classes, tmp_path / tool)
        assert (len(found.masks), found.set_aside) == (3, [])
        for item in images.unlabeled:
            if item["id"] in found.masks:
                gold = read_label(item, item["dropped_label"], images.classes)
                assert (read_label(item, found.masks[item["id"]], images.classes) == gold).all()
    corrected = prepare_image_set(
        str(dataset),
        str(tmp_path / "next"),
        labeled_fraction=0.3,
        corrections=corrections_reader(str(review / "slicer")),
    )
    assert corrected.summary["n_corrected"] == 3
    assert corrected.test == images.test
