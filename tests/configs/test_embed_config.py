from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

import labelmine.teachers
from labelmine.errors import ConfigError
from labelmine.teachers import CompactTeacher
from makers import embedding_chunks, metrics_of


@pytest.fixture
def knobs(tmp_path: Path, phantom_folder: Callable[..., Path], teacher_file: str) -> dict[str, Any]:
    return {
        "dataset_dir": str(phantom_folder(10, labeled=0) / "images"), "teacher_weights": teacher_file,
        "image_size": 64, "batch_size": 4, "embedding_cache": str(tmp_path / "cache"), "device": "cpu",
        "output_dir": str(tmp_path / "embed"),
    }  # fmt: skip


def test_fill_go_on_and_use(
    knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run_config("embed", **knobs)
    metrics = metrics_of(tmp_path / "embed")
    size = 10 * (2 * 256 * 8 * 8 + 4)
    assert metrics["embedding_cache"] == {
        "hits": 0, "misses": 10, "damaged": 0, "evicted": 0, "bytes_written": size, "hit_rate": 0.0, "bytes": size,
    }  # fmt: skip
    assert (metrics["n_images"], metrics["n_quarantined"]) == (10, 0)
    assert metrics["images_per_second"] > 0
    assert metrics["seconds"]["embed"] >= 0
    assert "10 images, 0.03 MiB each: 0.00 GiB" in caplog.text
    assert "min for the 2 left" in caplog.text
    assert len(embedding_chunks(tmp_path / "cache")) == 10

    for path in embedding_chunks(tmp_path / "cache")[:3]:  # as if it had been killed there
        path.unlink()
    embedding_chunks(tmp_path / "cache")[0].write_bytes(b"torn")
    run_config("embed", **knobs)
    again = metrics_of(tmp_path / "embed")["embedding_cache"]
    assert (again["hits"], again["misses"], again["damaged"], again["bytes"]) == (6, 4, 1, size)

    # What was filled ahead is what another workflow asks for: the teacher encodes nothing there.
    used = {key: knobs[key] for key in ("dataset_dir", "teacher_weights", "embedding_cache", "device")}
    run_config("label", **used, model_dir=str(mined.folder), output_dir=str(tmp_path / "label"))
    cache = metrics_of(tmp_path / "label")["embedding_cache"]
    assert (cache["hit_rate"], cache["misses"]) == (1.0, 0)
    assert cache["hits"] > 0


def test_two_label_runs_give_the_same_labels_and_the_second_encodes_nothing(
    knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any
) -> None:
    used = {key: knobs[key] for key in ("dataset_dir", "teacher_weights", "embedding_cache", "device")}
    used |= {"model_dir": str(mined.folder), "min_score": 0.0}
    for name, batch_size in {"a": 4, "b": 3}.items():
        run_config("label", **used, batch_size=batch_size, output_dir=str(tmp_path / name))
    first, second = (metrics_of(tmp_path / name) for name in "ab")
    assert first["embedding_cache"]["misses"] == second["embedding_cache"]["hits"] > 0
    assert second["embedding_cache"]["hit_rate"] == 1.0
    assert first["pseudo_labels"] == second["pseudo_labels"]
    assert sum(first["pseudo_labels"].values()) == 10
    for path in (tmp_path / "a" / "labels" / "masks").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "labels" / "masks" / path.name).read_bytes()


@pytest.mark.parametrize("workflow", ["inference", "evaluate"])
def test_refinement_uses_the_cache_and_says_so(
    workflow: str,
    mined: Any,
    tmp_path: Path,
    phantom_folder: Any,
    run_config: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    knobs = {
        "dataset_dir": str(phantom_folder(4)), "model_dir": str(mined.folder), "device": "cpu", "refine": True,
        "teacher_weights": mined.knobs["teacher_weights"], "embedding_cache": str(tmp_path / "cache"),
    }  # fmt: skip
    for name in "ab":
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run_config(workflow, **knobs, output_dir=str(tmp_path / name))
    (said,) = (r.message for r in caplog.records if r.message.startswith("embedding cache:"))
    assert "hit rate 1.000" in said
    assert not said.startswith("embedding cache: 0 hits")
    if workflow == "evaluate":
        assert metrics_of(tmp_path / "b")["embedding_cache"]["hit_rate"] == 1.0


def test_without_a_cache_the_teacher_is_bare(
    knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any
) -> None:
    used = {key: knobs[key] for key in ("dataset_dir", "teacher_weights", "device")} | {"embedding_cache": "null"}
    run_config("label", **used, model_dir=str(mined.folder), output_dir=str(tmp_path / "label"))
    assert "embedding_cache" not in metrics_of(tmp_path / "label")


def test_to_fill_no_cache_is_refused(knobs: dict[str, Any], run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"embed fills the cache, so it expects a folder or a URL. Got: null"):
        run_config("embed", **{**knobs, "embedding_cache": "null"})


def test_to_fill_what_cannot_be_written_is_refused(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    (tmp_path / "file").write_text("")
    with refused(ConfigError, r"embedding_cache: cannot be written, as said above, .* a folder with room"):
        run_config("embed", **{**knobs, "embedding_cache": str(tmp_path / "file" / "cache")})


def test_what_does_not_fit_is_said_and_the_run_goes_on(
    knobs: dict[str, Any],
    tmp_path: Path,
    run_config: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("labelmine.teachers.cache.free_bytes", lambda _: 0)
    run_config("embed", **{**knobs, "cache_gb": 1e-4})
    cache = metrics_of(tmp_path / "embed")["embedding_cache"]
    assert cache["misses"] == 10
    assert cache["evicted"] > 0
    assert sum(path.stat().st_size for path in embedding_chunks(tmp_path / "cache")) == cache["bytes"] <= 1e5
    assert "embeddings of 10 images take 0.000328 GB, above the limit of 0.0001 GB" in caplog.text
    assert "Give --cache_gb 1, to this and to the later run." in caplog.text
    assert "the cache's disk has 0 GB free" in caplog.text


def test_phantoms_by_default_and_overlays(tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAM is too large to build here: a small stand-in answers for it."""
    called: list[str] = []

    def stand_in(weights: str, device: str) -> CompactTeacher:
        called.append(f"{weights} on {device}")
        return CompactTeacher(64, name=weights).eval()

    monkeypatch.setattr(labelmine.teachers, "build_sam_teacher", stand_in)
    run_config("embed", "teacher_sam", "cpu", output_dir=str(tmp_path))
    assert called == ["sam_vit_b on cpu"]
    metrics = metrics_of(tmp_path)
    assert (metrics["n_images"], metrics["embedding_cache"]["misses"]) == (12, 12)


@pytest.mark.parametrize("dataset_dir", [None, "somewhere"])
@pytest.mark.parametrize("overlays", [[], ["cpu"]])
def test_views_are_those_of_mine(dataset_dir: str | None, overlays: list[str], config_files: Any) -> None:
    sizes = []
    for name in ("embed", "mine"):
        parser = ConfigParser()
        parser.read_config(config_files(name, *overlays))
        parser["dataset_dir"] = dataset_dir
        parser.parse(reset=True)
        sizes.append([parser.get_parsed_content(key) for key in ("image_size", "window", "slice_axis")])
    assert sizes[0] == sizes[1]


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'cache_gigabytes'.*the knobs are: dataset_dir, .*cache_gb"):
        run_config("embed", cache_gigabytes=3)
