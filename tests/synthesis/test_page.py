from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.evaluation import evaluate_masks
from labelmine.synthesis import Likeness
from labelmine.synthesis.page import CAPTIONS, SynthesisReport, write_synthesis_page

MINUS = "\N{MINUS SIGN}"
EPOCHS = [{"epoch": n, "train_loss": 1 / n, "val_dice": 1 - 1 / n} for n in (1.0, 2.0)]


class Outline(HTMLParser):
    """Gathers the addresses and the pictures of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "img":
            self.images.append(dict(attrs))


def table(size: float, count: int = 8) -> pd.DataFrame:
    """Dice of squares of one size with gold of another: the same on each image."""
    gold, seen = np.zeros((1, 32, 32), dtype=bool), np.zeros((1, 32, 32), dtype=bool)
    gold[:, 4:24, 4:24] = True
    seen[:, 4:24, 4 : 4 + round(20 * size)] = True
    return evaluate_masks((f"image{n}", seen, gold) for n in range(count))


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


def written(made: SynthesisReport, folder: Path) -> tuple[str, Outline]:
    """Return the page without its pictures' bytes, in which any letters may stand, and its outline."""
    html = write_synthesis_page(made, folder).read_text(encoding="utf-8")
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", html), Outline(html)


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


def test_the_page_holds_what_the_run_found(tmp_path: Path) -> None:
    made = report(warnings=["The teacher has seen 3 of these images."])
    html, _ = written(made, tmp_path)
    text = re.sub(r"\s+", " ", html)
    for line in (*made.headline(), *made.warnings):
        assert line.replace("'", "&#39;") in text
    for said in ("the student sees another lesion", "Results on gold test images", "Yellow: outline of the mask.",
                 "1.250", "1 min 05 s", "Dice, mean", "Made: pairs; seed 0"):  # fmt: skip
        assert said in text
    assert not re.search(r">\s*nan\b", text)  # one image alone has no figures: dashes


def test_pictures_lie_beside_the_page_and_within_it(tmp_path: Path) -> None:
    _, outline = written(report(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "real.png", "admitted.png"}
    with Image.open(tmp_path / "real.png") as image:
        assert image.size == (3 * 17 + 1, 18)
    alts = [image["alt"] or "" for image in outline.images]
    assert alts[:2] == [
        f"{CAPTIONS['real']}: 3 images, masks outlined",
        f"{CAPTIONS['admitted']}: 2 images, masks outlined",
    ]
    assert len(alts) == 5  # two grids, two learning curves, Dice of each test image
    assert all(alts)


def test_images_without_masks_have_no_outlines_and_no_students(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 16, 16)
    knobs = {"tables": {}, "validation_dice": {}, "kept": None, "histories": {"generator": EPOCHS}}
    html, outline = written(report(content="images", pictures={"rejected": (images, None)}, **knobs), tmp_path)
    assert "Yellow" not in html
    assert "Results on gold test images" not in html
    alts = [image["alt"] for image in outline.images]
    assert alts == [f"{CAPTIONS['rejected']}: 2 images", "Training of the generator: mean squared error by epoch"]


def test_masks_to_draw_on_read_as_words(tmp_path: Path) -> None:
    assert "Made: images on masks; seed 0" in written(report(content="images_on_masks"), tmp_path)[0]


def test_likeness_of_real_backgrounds_is_explained(tmp_path: Path) -> None:
    pages = [write_synthesis_page(report(inpainted=flag), tmp_path / str(flag)).read_text() for flag in (True, False)]
    told = ["new lesions in real images" in page and "backgrounds are the training gold's" in page for page in pages]
    assert told == [True, False]


def test_a_run_that_admitted_nothing_still_has_a_page(tmp_path: Path) -> None:
    bare = SynthesisReport(dataset="polyps", seed=0, content="pairs", reasons={"its mask is empty": 4})
    html, outline = written(bare, tmp_path)
    assert "0 of 4 made images were admitted." in html
    assert outline.images == []


def test_what_users_name_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&"
    knobs: dict[str, Any] = {"dataset": evil, "warnings": [evil], "feature_network": evil, "reasons": {evil: 1},
                             "likeness": [Likeness(evil, 2, 0, 0, 0)], "settings": {evil: evil}}  # fmt: skip
    html, outline = written(report(**knobs), tmp_path)
    assert "script" not in outline.tags
    assert html.count("&lt;script&gt;") >= 6


def test_no_folder_of_the_machine_is_on_the_page(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {
        "dataset": "/home/maria/ward3/polyps",
        "warnings": ["The file /home/maria/ward3/weights.pt was used."],
        "settings": {"dataset": "/home/maria/ward3/polyps", "split_file": "~maria/ward3/split.json",
                     "encoder": {"pretrained": "C:\\Users\\maria\\ward3\\encoder.safetensors"}},
    }  # fmt: skip
    html, _ = written(report(**knobs), tmp_path)
    for private in ("maria", "ward3", "/home", "Users", str(tmp_path)):
        assert private not in html
    for kept in ("polyps", "weights.pt", "split.json", "encoder.safetensors"):
        assert kept in html


def test_the_page_opens_without_a_network(tmp_path: Path) -> None:
    html, outline = written(report(), tmp_path)
    assert "http" not in html
    assert "@import" not in html
    assert not {"link", "script", "iframe"} & outline.tags
    assert outline.addresses
    assert all(address.startswith(("data:image/", "#")) for address in outline.addresses)
