from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.workflows.review.run_teacher import run_teacher

COMPACT = "labelmine.teachers.build_compact_teacher"


def test_the_teacher_of_the_run_is_built_from_its_settings(tmp_path: Path) -> None:
    path = save_compact_teacher(CompactTeacher(64), tmp_path / "mine.safetensors")
    section = {"_target_": COMPACT, "name_or_path": "@teacher_weights", "device": "@device"}
    teacher = run_teacher({"teacher": section, "teacher_weights": str(path)}, tmp_path, "cpu", None, 1.0)
    assert teacher is not None
    assert (teacher.name, teacher.image_size) == ("mine", 64)
    assert run_teacher({}, tmp_path, "cpu", None, 1.0) is None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"_target_": "os.system", "command": "touch broken"}, "expected a builder of labelmine.teachers"),
        ({"_target_": "labelmine.teachers.frozen"}, "expected a builder of labelmine.teachers"),
        ({"_target_": "labelmine.teachers.build_x.__globals__"}, "expected a builder of labelmine.teachers"),
        (
            {"_target_": COMPACT, "name_or_path": "$print('x')"},
            "teacher::name_or_path: expected a plain",
        ),
        ({"_target_": COMPACT, "name_or_path": "@nowhere"}, "teacher::name_or_path: expected a plain"),
        ({"_target_": COMPACT, "name_or_path": "%other.yaml::x"}, "teacher::name_or_path: expected a plain"),
    ],
)
def test_a_folder_that_someone_sent_runs_no_code(section: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run_teacher({"teacher": section}, tmp_path, "cpu", None, 1.0)
