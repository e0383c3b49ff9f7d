from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from labelmine.data import SetAside, find_items


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), 100).save(path)


def test_everything_else_is_counted_by_kind(tmp_path: Path, caplog) -> None:
    for name in ("images/a.png", "masks/a.png", *(f"overlays/{n}.png" for n in range(5))):
        picture(tmp_path / name)
    for name in ("images/a.txt", "images/b.txt", "README.md", "images/IM1", "images/.hidden"):
        (tmp_path / name).write_text("text")
    (tmp_path / "listing.csv").write_text("Image;Mask\nimages/a.png;masks/a.png\n")
    (tmp_path / "roles.csv").write_text("name,role\n")
    coco = {"images": [], "annotations": [{"id": 1, "category_id": 1}], "categories": []}
    (tmp_path / "instances.json").write_text(json.dumps(coco))
    (tmp_path / "settings.json").write_text("{}")
    rows: list[SetAside] = []
    assert [item["id"] for item in find_items(tmp_path, set_aside=rows)] == ["a"]
    assert {row.id for row in rows} == {""}
    assert {row.path: row.reason for row in rows if row.path not in ("*.csv", "*.json")} == {
        "*.md": "no format of images (1: README.md)",
        "images/*": "files without suffix, no DICOM (1: images/IM1)",
        "images/*.txt": "no format of images (2: images/a.txt, images/b.txt)",
        "images/": "hidden file or folder (1: images/.hidden)",
        "overlays/": "image files outside the folders of images and masks "
        "(5: overlays/0.png, overlays/1.png, overlays/2.png, ...)",
    }
    tables = sorted(row.reason for row in rows if row.path in ("*.csv", "*.json"))
    assert (
        tables[0] == "a listing with a column `image`: give the file itself as dataset_dir to use it (1: listing.csv)"
    )
    assert tables[1].startswith("holds COCO annotations, which are not read: write one mask per image (pycocotools")
    assert tables[2:] == ["no format of images (1: roles.csv)", "no format of images (1: settings.json)"]
    assert "not used: overlays/: image files outside" in caplog.text


def test_the_log_is_bounded(tmp_path: Path, caplog) -> None:
    picture(tmp_path / "images/a.png")
    for number in range(15):
        (tmp_path / f"notes{number}.x{number}").write_text("text")
    find_items(tmp_path)
    assert caplog.text.count("not used: *.x") == 10
    assert "not used: 5 more, all listed in quarantine.csv" in caplog.text
