from __future__ import annotations

from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.workflows.inference import InferenceTask
from makers import knobs_of

ADDRESS = "https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"study": "1.2"}, "study: expected --dicomweb ADDRESS"),
        ({"store": True}, "store: expected --dicomweb ADDRESS"),
        ({"dicomweb": ADDRESS}, "dicomweb: expected --study UID, .* or --store true"),
        ({"dicomweb": ADDRESS, "study": "1.2", "dataset_dir": "x"}, "study: expected images from the PACS or from"),
        ({"dicomweb": ADDRESS, "store": True, "series": "1.2"}, "series: expected --study UID"),
        (
            {"dicomweb": ADDRESS, "study": "1.2", "store": True, "masks_format": "png"},
            "store: expected results in DICOM: --masks_format",
        ),
        (
            {"dicomweb": ADDRESS, "study": "1.2", "store": True, "deidentify": True},
            "store: expected results of the pat",
        ),
        ({"dicomweb": ADDRESS, "study": "Anna"}, "study: "),
        ({"dicomweb": ADDRESS, "study": "1." * 40 + "1"}, "study: "),
        ({"dicomweb": "pacs", "study": "1.2"}, "expected an address"),
    ],
)
def test_knobs_of_a_pacs_must_go_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InferenceTask(knobs_of("inference", **given))


def test_images_here_may_be_stored_there(tmp_path: Any) -> None:
    task = InferenceTask(knobs_of("inference", dicomweb=ADDRESS, store=True, dataset_dir="x", output_dir=str(tmp_path)))
    assert task.dataset_dir == "x"
    with pytest.raises(ConfigError, match="expected DICOM files in dicom_seg/ or rt_structures/, found none"):
        task.store_results()
