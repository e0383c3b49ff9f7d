from __future__ import annotations

import pytest

from labelmine.data import ClassMap, Item, SetAside
from labelmine.data.account import account_lines, class_words


def item(name: str, group: str, label: bool = True) -> Item:
    found = Item(id=name, image=f"images/{name}", group=group)
    return Item(**found, label="mask.png") if label else found  # type: ignore[typeddict-item]


def test_images_masks_groups_and_losses_are_counted() -> None:
    items = [item("a.png", "p1"), item("b.PNG", "p1"), item("v.nii.gz", "p2", label=False), item("x", "p3")]
    aside = [SetAside("c", "c.png", "c.png: 0 bytes"), SetAside("d", "d.png", "d.png: 0 bytes")]
    unused = [SetAside("", f"{name}/", "no format of images") for name in "efghi"]
    assert account_lines(items, [*unused, *aside], ClassMap()) == [
        "4 images (2 .png, 1 .nii.gz, 1 without suffix) in 3 groups: 3 with a mask, 1 without",
        "classes: foreground (any value above 0)",
        "set aside: 2 as c.png, see quarantine.csv",
        "not used: e/; f/; g/ and 2 more, see quarantine.csv",
    ]


def test_classes_are_left_out_where_they_are_not_known_or_there_is_no_gold() -> None:
    assert len(account_lines([item("a.png", "a")], [], None)) == 1
    assert len(account_lines([item("a.png", "a", label=False)], [], ClassMap())) == 1


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (ClassMap(levels=(0.0, 255.0)), "foreground (any value above 127.5)"),
        (ClassMap.from_config({"liver": 1, "tumour": 4}), "liver (1), tumour (4)"),
        (ClassMap.from_config({"polyp": [255, 0, 0]}), "polyp ([255, 0, 0])"),
    ],
)
def test_classes_in_words(classes: ClassMap, words: str) -> None:
    assert class_words(classes) == words
