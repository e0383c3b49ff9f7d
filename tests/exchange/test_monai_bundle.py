"""The bundle as MONAI's own programs take it."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import requests
import torch
from monai.bundle import ConfigParser
from PIL import Image

from dicom_makers import write_dicom
from labelmine.bundle import bundle_root
from labelmine.data import find_images
from labelmine.errors import DataError, WeightsError
from labelmine.exchange.monai_bundle import METADATA, STUDENT, TWINS, WEIGHTS, json_twin, student_files
from labelmine.networks import Student
from labelmine.prediction import Predictor

RNG = np.random.default_rng(0)
CLASSES = ["lesion", "vessel"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle whose student draws two classes, at random."""
    folder = tmp_path_factory.mktemp("bundles") / "mine"
    torch.manual_seed(0)
    Student(CLASSES, encoder="mobilenet_v2").save(folder.parent / "student.safetensors", image_size=64)
    files = student_files(folder.parent / "student.safetensors", bundle_root() / METADATA)
    twins = {f"configs/{name}.json": json_twin(bundle_root() / "configs" / f"{name}.yaml") for name in TWINS}
    for name, content in {**files, **twins}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def picture(folder: Path) -> Path:
    Image.fromarray(RNG.integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder / "a.png"


def volume(folder: Path) -> Path:
    values = RNG.integers(0, 900, (30, 26, 11), dtype=np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([0.5, 0.7, 3.0, 1.0])), folder / "a.nii.gz")
    return folder / "a.nii.gz"


def dicom(folder: Path) -> Path:
    return write_dicom(folder / "a.dcm", RNG.integers(0, 4000, (48, 36), dtype=np.uint16))


def clip(folder: Path) -> Path:
    return write_dicom(folder / "a.dcm", RNG.integers(0, 255, (3, 48, 36), dtype=np.uint8), NumberOfFrames=3)


def predicted(path: Path, student: Path) -> list[np.ndarray]:
    """What ``labelmine predict`` writes of each slice: the class numbers (H, W)."""
    images = find_images(str(path.parent), str(path.parent.parent / "run"), class_names=CLASSES)
    answers = Predictor.load(student).masks(images.items, images)
    return [(mask * np.array([1, 2])[:, None, None]).max(0) for _, mask in answers]


def as_monai_label(bundle: Path, path: Path) -> dict[str, Any]:
    """What ``monailabel/tasks/infer/bundle.py`` and ``basic_infer.py`` (0.8.5) do with a bundle, less the writing."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.config.update({"bundle_root": str(bundle), "use_click": False})
    network = copy.deepcopy(parser.get_parsed_content("network_def"))
    network.load_state_dict(torch.load(bundle / WEIGHTS, weights_only=True))
    data: dict[str, Any] = {"image": str(path), "image_path": str(path), "device": "cpu"}
    for transform in parser.get_parsed_content("preprocessing").transforms:
        data = transform(data)
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network.eval())[0]
    for transform in parser.get_parsed_content("postprocessing").transforms:
        data = transform(data)
    return data


def restored(data: dict[str, Any]) -> np.ndarray:
    """What MONAI Label's ``Restored`` makes of an answer that has the size of its image already, as ours must."""
    shape = data["pred"].shape[1:]
    assert np.array_equal(shape, data["image_meta_dict"]["spatial_shape"][-len(shape) :])
    return np.asarray(data["pred"][0] if data["pred"].ndim == 4 else data["pred"])


@pytest.mark.parametrize("make", [picture, volume, dicom, clip])
def test_monai_label_gets_the_masks_of_predict(
    make: Callable[[Path], Path], bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    path = make(tmp_path / "in")
    data = as_monai_label(bundle, path)
    assert list((tmp_path / "cwd").iterdir()) == [], "nothing is written for a question"
    mask, expected = restored(data), predicted(path, bundle / STUDENT)
    assert mask.dtype == np.uint8
    if make is volume:  # stored as the file is; other files as ITK counts, x before y
        assert np.array_equal(mask, np.stack(expected, axis=-1))
        assert np.array_equal(data["image_meta_dict"]["original_affine"], nib.load(path).affine)
    else:
        assert np.array_equal(mask, np.stack([one.T for one in expected], axis=-1).squeeze())
    assert len(np.unique(mask)) > 1


def test_other_things_than_an_image_file_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one image file .*, found none"):
        as_monai_label(bundle, tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"notes.txt"):
        as_monai_label(bundle, tmp_path / "notes.txt")


@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_monai_bundle_load_gives_the_student_and_writes_nothing(
    workflow: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    student = monai.bundle.load(
        bundle.name, bundle_dir=str(bundle.parent), workflow_type=workflow, device="cpu",
        args_file={"bundle_root": str(bundle)},
    )  # fmt: skip
    expected = Student.load(bundle / STUDENT)[0].state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in student.state_dict().items())
    assert list(tmp_path.iterdir()) == []


def test_metadata_name_the_student_s_classes_as_labels(bundle: Path) -> None:
    pred = json.loads((bundle / METADATA).read_text())["network_data_format"]["outputs"]["pred"]
    assert pred["channel_def"] == {"0": "background", "1": "lesion", "2": "vessel"}
    assert pred["num_channels"] == 2
    monai.bundle.verify_net_in_out(
        "network_def", str(bundle / METADATA), str(bundle / "configs" / "inference.json"), device="cpu", n=2,
        bundle_root=str(bundle),
    )  # fmt: skip


def test_the_metadata_that_ship_are_those_of_the_student_that_ships() -> None:
    files = student_files(bundle_root() / STUDENT, bundle_root() / METADATA)
    assert files[METADATA] == (bundle_root() / METADATA).read_bytes()


def test_the_same_student_gives_the_same_bytes(bundle: Path) -> None:
    again = student_files(bundle / STUDENT, bundle / METADATA)
    assert {name: (bundle / name).read_bytes() for name in again} == again


def test_weights_of_another_model_are_no_student() -> None:
    with pytest.raises(WeightsError, match=r"compact.safetensors: expected a student that labelmine wrote"):
        student_files(bundle_root() / "models" / "compact.safetensors", bundle_root() / METADATA)


def test_torchscript_by_tracing_answers_alike(bundle: Path, tmp_path: Path) -> None:
    monai.bundle.ckpt_export(
        net_id="network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(bundle / WEIGHTS),
        meta_file=str(bundle / METADATA), config_file=str(bundle / "configs" / "inference.json"),
        use_trace=True, input_shape=[1, 3, 64, 64], bundle_root=str(bundle),
    )  # fmt: skip
    image, student = torch.rand(1, 3, 64, 64), Student.load(bundle / STUDENT)[0]
    with torch.no_grad():
        assert torch.allclose(torch.jit.load(tmp_path / "model.ts")(image), student(image), atol=1e-5)


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MONAI Label with the bundle; yields its address."""
    python = os.environ.get("LABELMINE_MONAI_LABEL")
    if not python:
        pytest.skip("LABELMINE_MONAI_LABEL names no Python that has monailabel, see docs/monai_label.md")
    folder = tmp_path_factory.mktemp("monai_label")
    site = subprocess.check_output([python, "-c", "import monailabel; print(monailabel.__path__[0])"], text=True)
    (app,) = Path(site.strip()).parent.glob("monailabel-*.data/data/monailabel/sample-apps/monaibundle")
    (folder / "app" / "model").mkdir(parents=True)
    (folder / "studies").mkdir()
    for part in app.iterdir():
        (folder / "app" / part.name).symlink_to(part)
    (folder / "app" / "model" / "mine").symlink_to(bundle)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        python, "-m", "monailabel.main", "start_server", "--app", str(folder / "app"), "--host", "127.0.0.1",
        "--studies", str(folder / "studies"), "--port", str(port), "--conf", "models", "mine", "--conf", "sam2",
        "false",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(bundle_root() / "bundle"), "MONAI_ZOO_SOURCE": "github"}
    with (folder / "log").open("w") as log, subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, cwd=folder
    ) as process:  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"{address}/info/", timeout=60).read()
                    break
                except OSError:
                    time.sleep(1)
            yield address
        finally:
            process.terminate()


@pytest.mark.monai_label
@pytest.mark.parametrize("make", [picture, volume, dicom])
def test_a_real_monai_label_answers_with_the_masks_of_predict(
    make: Callable[[Path], Path], server: str, bundle: Path, tmp_path: Path
) -> None:
    models = json.loads(urllib.request.urlopen(f"{server}/info/", timeout=60).read())["models"]
    assert models["mine"]["labels"] == {"lesion": 1, "vessel": 2}
    (tmp_path / "in").mkdir()
    path = make(tmp_path / "in")
    kind = ".nii.gz" if make is volume else ".png"
    answer = tmp_path / f"answer{kind}"
    with path.open("rb") as file:
        reply = requests.post(
            f"{server}/infer/mine?output=image",
            files={"file": (path.name, file)},
            data={"params": json.dumps({"result_extension": kind, "device": "cpu"})},
            timeout=300,
        )
    reply.raise_for_status()
    answer.write_bytes(reply.content)
    expected = predicted(path, bundle / STUDENT)
    found = nib.load(answer).get_fdata() if make is volume else np.asarray(Image.open(answer))
    assert np.array_equal(found, np.stack(expected, axis=-1) if make is volume else expected[0])
