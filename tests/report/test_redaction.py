from __future__ import annotations

from pathlib import Path

import pytest

from labelmine.report import without_folders


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/maria/data/polyps", "polyps"),
        ("/home/maria/My Data/polyps", "polyps"),
        ("~/data/polyps/", "polyps"),
        ("../shared/data/busi", "busi"),
        (r"C:\Users\maria\data\x.png", "x.png"),
        (r"\\server\ward\x.png", "x.png"),
        ("run --dataset_dir /home/maria/x --output_dir=/srv/o/out", "run --dataset_dir x --output_dir=out"),
        (
            """run "['configs/mine.yaml','/home/maria/my own.yaml']" """,
            """run "['configs/mine.yaml','my own.yaml']" """,
        ),
        ("cannot read /home/maria/x.jpg: truncated", "cannot read x.jpg: truncated"),
        ("cannot read:/home/maria/x.jpg", "cannot read:x.jpg"),
        ("file '/home/dr maria/x.jpg' is empty", "file 'x.jpg' is empty"),
        ("file:///home/maria/x.jpg", "x.jpg"),
        # What is no path stays.
        ("supervised / mined and/or both, 3/4", "supervised / mined and/or both, 3/4"),
        ("labelmine.losses.DiceLoss", "labelmine.losses.DiceLoss"),
        ("polyps/video1/frame_07", "polyps/video1/frame_07"),
        ("</script>", "</script>"),
        ("ratio 1:2, 1.0e-4 ...", "ratio 1:2, 1.0e-4 ..."),
    ],
)
def test_only_the_last_part_of_a_path_is_kept(text: str, expected: str) -> None:
    assert without_folders(text) == expected


def test_nested_values_are_cleaned_and_others_kept() -> None:
    value = {"a": ["/home/maria/x", 3, None, True], "b": {"c": Path("/home/maria/y")}, "d": 0.5}
    assert without_folders(value) == {"a": ["x", 3, None, True], "b": {"c": "y"}, "d": 0.5}
