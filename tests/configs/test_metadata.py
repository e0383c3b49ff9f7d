"""``configs/metadata.json`` against MONAI's bundle specification (docs/source/mb_specification.rst)."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from monai.bundle.scripts import _get_fake_spatial_shape
from packaging.requirements import Requirement
from packaging.version import Version

import labelmine
from labelmine.bundle import bundle_root

METADATA: dict[str, Any] = json.loads((bundle_root() / "configs" / "metadata.json").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((bundle_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INPUT = METADATA["network_data_format"]["inputs"]["image"]
OUTPUT = METADATA["network_data_format"]["outputs"]["pred"]


def floors() -> dict[str, Version]:
    required = [Requirement(line) for line in PROJECT["dependencies"]]
    return {one.name: Version(next(iter(one.specifier)).version) for one in required}


@pytest.mark.parametrize(
    "key",
    ["version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors", "copyright"],
)
def test_mandatory_keys_are_texts(key: str) -> None:
    assert isinstance(METADATA[key], str)
    assert METADATA[key]


@pytest.mark.parametrize("tensor", [INPUT, OUTPUT], ids=["image", "pred"])
def test_tensor_formats_hold_what_the_specification_demands(tensor: dict[str, Any]) -> None:
    assert set(tensor) >= {
        "type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data",
        "channel_def",
    }  # fmt: skip
    assert tensor["type"] in {"image", "series", "tuples", "probabilities"}
    assert tensor["format"] in {"magnitude", "hounsfield", "kspace", "raw", "labels", "classes", "segmentation"}
    assert tensor["is_patch_data"] is False
    assert tensor["dtype"] == "float32"
    assert len(tensor["value_range"]) in {0, 2}
    assert list(tensor["channel_def"]) == [str(index) for index in range(len(tensor["channel_def"]))]


def test_network_takes_rgb_and_gives_one_logit_map() -> None:
    assert (INPUT["num_channels"], INPUT["value_range"], INPUT["format"]) == (3, [0, 1], "magnitude")
    assert OUTPUT["num_channels"] == 1
    assert OUTPUT["channel_def"] == {"0": "background", "1": "polyp"}, "what MONAI Label takes for the names of labels"
    assert _get_fake_spatial_shape(INPUT["spatial_shape"], n=7) == (224, 224)
    assert INPUT["spatial_shape"] == OUTPUT["spatial_shape"]


def test_versions_agree_with_the_project() -> None:
    assert METADATA["version"] == PROJECT["version"] == labelmine.__version__
    assert METADATA["version"] in METADATA["changelog"]
    assert Version(METADATA["monai_version"]) >= floors()["monai"]
    assert Version(METADATA["pytorch_version"]) >= floors()["torch"]
    assert Version(METADATA["numpy_version"]) >= floors()["numpy"]


def test_required_packages_are_the_project_s_dependencies() -> None:
    stated = METADATA["required_packages_version"]
    expected = floors()
    assert set(stated) | {"monai", "torch", "numpy"} == set(expected)
    assert [name for name, version in stated.items() if Version(version) < expected[name]] == []
    assert "optional_packages_version" not in METADATA, "deprecated in favour of required_packages_version"


def test_references_cite_the_four_systems_and_the_models() -> None:
    cited = " ".join(METADATA["references"])
    for number in ("2503.06816", "2404.17033", "2112.00735", "2310.16794", "2304.02643", "2304.12306", "1807.10165"):
        assert re.search(rf"arxiv\.org/abs/{number}", cited)


def test_only_measured_metrics_are_stated() -> None:
    assert "eval_metrics" not in METADATA, "figures stand in docs/results/, with their commands"
