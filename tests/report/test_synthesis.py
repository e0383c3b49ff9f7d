from __future__ import annotations

import math
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.evaluation import evaluate_masks
from labelmine.report import SynthesisReport, write_synthesis_page
from labelmine.report.synthesis import CAPTIONS
from labelmine.synthesis import Likeness

MINUS = "\N{MINUS SIGN}"
EPOCHS = [{"epoch": n, "train_loss": 1 / n, "val_dice": 1 - 1 / n} for n in (1.0, 2.0)]


Reader = Callable[[str], Any]
Written = Callable[..., Any]


def table(size: float, count: int = 8, spacing: tuple[float, float] | None = None) -> pd.DataFrame:
    """Dice of squares of one size with gold of another: the same on each image."""
    gold, seen = np.zeros((1, 32, 32), dtype=bool), np.zeros((1, 32, 32), dtype=bool)
    gold[:, 4:24, 4:24] = True
    seen[:, 4:24, 4 : 4 + round(20 * size)] = True
    spacings = {f"image{n}": spacing for n in range(count)} if spacing else None
    return evaluate_masks(((f"image{n}", seen, gold) for n in range(count)), spacings=spacings)


def report(**knobs: Any) -> SynthesisReport:
    images, masks = torch.rand(3, 3, 16, 16), (torch.rand(3, 1, 16, 16) > 0.5).float()
    defaults: dict[str, Any] = {
        "dataset": "polyps",
        "seed": 0,
        "content": "pairs",
        "tables": {"supervised": table(0.5), "mixed": table(0.75)},
        "validation_dice": {"supervised": 0.6, "mixed": 0.7},
        "kept": "mixed",
        "accepted": 20,
        "reasons": {"the student sees another lesion": 9, "a copy of a training image": 3},
        "likeness": [Likeness("candidates", 32, 1.25, 0.5, 0.25), Likeness("admitted", 1, *[math.nan] * 3)],
        "feature_network": "compact teacher 'compact' (not Inception)",
        "pictures": {"real": (images, masks), "admitted": (images[:2], masks[:2])},
        "histories": {"generator": EPOCHS, "supervised": EPOCHS, "mixed": EPOCHS},
        "seconds": {"data": 1.0, "generator": 65.0},
        "settings": {"seed": 0},
    }
    return SynthesisReport(**{**defaults, **knobs})


@pytest.fixture
def written(outline: Reader, tmp_path: Path) -> Written:
    """Writer of a page into the test's folder, which returns its outline."""
    return lambda made: outline(write_synthesis_page(made, tmp_path).read_text(encoding="utf-8"))


def test_it_says_that_made_images_help() -> None:
    admitted, verdict, change = report().headline()
    assert admitted == "20 of 32 made images were admitted."
    assert verdict == (
        "They help: Dice on gold validation 0.700 with them, 0.600 without; the student that saw them is kept."
    )
    gain = 2 * 0.75 / 1.75 - 2 * 0.5 / 1.5  # Dice of a square with its own part
    assert change.startswith(f"On 8 gold test images they change the mean Dice by +{gain:.3f} (95 % interval +0.190")


def test_it_says_that_made_images_do_not_help() -> None:
    tables = {"supervised": table(0.75), "mixed": table(0.5)}
    dice = {"supervised": 0.7, "mixed": 0.6}
    _, verdict, change = report(tables=tables, validation_dice=dice, kept="supervised").headline()
    assert verdict == (
        "They do not help (Dice on gold validation 0.600 with them, 0.700 without): the student without them is kept."
    )
    assert f"change the mean Dice by {MINUS}0.190" in change


@pytest.mark.parametrize("tables", [{}, {"supervised": table(0.5)}])
def test_without_two_students_it_compares_none(tables: dict[str, pd.DataFrame]) -> None:
    assert report(tables=tables, validation_dice={}, kept=None).headline() == ["20 of 32 made images were admitted."]


def test_the_page_holds_what_the_run_found(written: Written) -> None:
    made = report(warnings=["The teacher has seen 3 of these images."])
    text = re.sub(r"\s+", " ", unescape(written(made).text))
    for line in (*made.headline(), *made.warnings):
        assert line in text
    for said in ("the student sees another lesion", "Results on gold test images", "Yellow: outline of the mask.",
                 "1.250", "1 min 05 s", "Dice, mean", "Made: pairs; seed 0"):  # fmt: skip
        assert said in text
    assert not re.search(r">\s*nan\b", text)  # one image alone has no figures: dashes


def test_pictures_lie_beside_the_page_and_within_it(written: Written, tmp_path: Path) -> None:
    page = written(report())
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "real.png", "admitted.png"}
    with Image.open(tmp_path / "real.png") as image:
        assert image.size == (3 * 17 + 1, 18)
    alts = [image["alt"] for image in page.images]
    assert alts[:2] == [
        f"{CAPTIONS['real']}: 3 images, masks outlined",
        f"{CAPTIONS['admitted']}: 2 images, masks outlined",
    ]
    assert len(alts) == 5  # two grids, two learning curves, Dice of each test image
    page.assert_self_contained()


def test_images_without_masks_have_no_outlines_and_no_students(written: Written) -> None:
    images = torch.rand(2, 3, 16, 16)
    knobs = {"tables": {}, "validation_dice": {}, "kept": None, "histories": {"generator": EPOCHS}}
    page = written(report(content="images", pictures={"rejected": (images, None)}, **knobs))
    assert "Yellow" not in page.text
    assert "Results on gold test images" not in page.headings
    assert "95 % interval" not in page.text
    alts = [image["alt"] for image in page.images]
    assert alts == [f"{CAPTIONS['rejected']}: 2 images", "Training of the generator: mean squared error by epoch"]


def test_masks_to_draw_on_read_as_words(written: Written) -> None:
    assert "Made: images on masks; seed 0" in written(report(content="images_on_masks")).text


@pytest.mark.parametrize("inpainted", [True, False])
def test_likeness_of_real_backgrounds_is_explained(inpainted: bool, written: Written) -> None:
    text = unescape(written(report(inpainted=inpainted)).text)
    assert ("new lesions in real images" in text) == inpainted
    assert ("backgrounds are the training gold's" in text) == inpainted


def test_a_run_that_admitted_nothing_still_has_a_page(written: Written) -> None:
    page = written(SynthesisReport(dataset="polyps", seed=0, content="pairs", reasons={"its mask is empty": 4}))
    assert "0 of 4 made images were admitted." in page.text
    assert page.headings == ["Do made images help on polyps?", "Look at them", "Words on this page"]
    assert page.images == []


def test_what_users_name_is_escaped(written: Written) -> None:
    evil = "<script>alert('x')</script>&"
    knobs: dict[str, Any] = {"dataset": evil, "warnings": [evil], "feature_network": evil, "reasons": {evil: 1},
                             "likeness": [Likeness(evil, 2, 0, 0, 0)], "settings": {evil: evil}}  # fmt: skip
    page = written(report(**knobs))
    assert "script" not in page.tags
    assert page.text.count("&lt;script&gt;") >= 6


def test_no_folder_of_the_machine_is_on_the_page(written: Written, tmp_path: Path) -> None:
    knobs: dict[str, Any] = {
        "dataset": "/home/maria/ward3/polyps",
        "warnings": ["The file /home/maria/ward3/weights.pt was used."],
        "settings": {"dataset": "/home/maria/ward3/polyps", "split_file": "~maria/ward3/split.json",
                     "encoder": {"pretrained": "C:\\Users\\maria\\ward3\\encoder.safetensors"}},
    }  # fmt: skip
    text = written(report(**knobs)).text
    for private in ("maria", "ward3", "/home", "Users", str(tmp_path)):
        assert private not in text
    for kept in ("polyps", "weights.pt", "split.json", "encoder.safetensors"):
        assert kept in text


@pytest.mark.parametrize(("spacing", "explained"), [(None, False), ((0.5, 0.5), True)])
def test_distances_are_explained_where_some_were_measured(
    tmp_path: Path, spacing: tuple[float, float] | None, explained: bool
) -> None:
    tables = {name: table(size, spacing=spacing) for name, size in (("supervised", 0.5), ("mixed", 0.75))}
    page = write_synthesis_page(report(tables=tables), tmp_path).read_text(encoding="utf-8")
    assert ("Hausdorff 95, surface Dice" in page) is explained
