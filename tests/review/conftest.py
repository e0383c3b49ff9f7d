"""A labelled set as small as it goes, and a page that serves it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.data import ImageSet, LabelStore, find_images, read_label
from labelmine.data.phantom import phantom
from labelmine.exchange.decisions import DecisionLog
from labelmine.networks import Student
from labelmine.prediction import Predictor
from labelmine.review import Cases, Corrector, ReviewSession
from labelmine.teachers import CompactTeacher

SIDE, COUNT, TOKEN = 96, 6, "secret"


@pytest.fixture(scope="session")
def parts() -> tuple[Predictor, CompactTeacher]:
    """A student and a teacher that have learnt nothing."""
    torch.manual_seed(0)
    return Predictor(Student(["foreground"], encoder="mobilenet_v2"), 64), CompactTeacher(64, name="tiny").eval()


@pytest.fixture
def make_session(tmp_path: Path, parts: tuple[Predictor, CompactTeacher]) -> Callable[..., ReviewSession]:
    """Maker of sessions on one labelled set; a second one is what a server that was killed finds."""
    return partial(session_in, tmp_path, parts)


def session_in(
    folder: Path,
    parts: tuple[Predictor, CompactTeacher],
    with_teacher: bool = True,
    name: str = "case_{}",
    classes: Any = None,
) -> ReviewSession:
    predictor, teacher = parts
    images = written_set(folder / "set", name, classes)
    store = labelled(images, folder / "run")
    gains = enumerate(images.items)
    rows = [{"id": item["id"], "gain": 0.5 - 0.05 * n, "reason": "accepted"} for n, item in gains]
    return ReviewSession(
        Cases(images, store, pd.DataFrame(rows), predictor),
        DecisionLog(folder / "run" / "review", images.classes),
        Corrector(teacher, images) if with_teacher else None,
    )


@pytest.fixture
def session(make_session: Callable[..., ReviewSession]) -> ReviewSession:
    return make_session()


def written_set(folder: Path, name: str, classes: Any) -> ImageSet:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    made = (phantom(0, number, SIDE) for number in range(100))
    shown = islice(((image, mask) for image, mask in made if np.any(mask)), COUNT)
    for number, (image, mask) in enumerate(shown):
        values = (np.asarray(mask) > 0) * (255 if classes is None else 1)
        Image.fromarray(image).save(folder / "images" / f"{name.format(number)}.png")
        Image.fromarray(values.astype(np.uint8)).save(folder / "masks" / f"{name.format(number)}.png")
    return find_images(str(folder), str(folder.parent / "found"), classes)


def labelled(images: ImageSet, run: Path) -> LabelStore:
    """Labels that are right, but for the first: of that one the left half is missing."""
    store = LabelStore(run / "labels", images.classes, images.root)
    if store.done:
        return store
    for number, item in enumerate(images.items):
        mask = np.asarray(read_label(item, item["label"], images.classes) > 0)
        if number == 0:
            columns = np.flatnonzero(mask.any((0, 1)))
            mask[:, :, : int(columns.mean())] = False
        rows, columns = (np.flatnonzero(mask[0].any(axis)) for axis in (1, 0))
        box = [float(v) * 64 / SIDE for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
        store.write(item, mask, {
            "labeler": "prompted", "drawn_by": "labeler", "score": 0.5 + 0.05 * number, "accepted": number > 0,
            "view_size": 64, "teacher_size": 64, "signals": {"student_dice": 0.5},
            "prompts": [{"class": 0, "box": box, "points": [[20, 20]], "point_labels": [1]}],
        })  # fmt: skip
    return store


@pytest.fixture
def volume_session(tmp_path: Path, parts: tuple[Predictor, CompactTeacher]) -> ReviewSession:
    """Labels of four of the five slices of a volume, ranked in another order."""
    values = np.random.default_rng(0).integers(-900, 2000, (40, 48, 5)).astype(np.int16)
    masks = np.zeros(values.shape, np.uint8)
    masks[10:30, 12:36] = 1
    for name, content in (("images", values), ("masks", masks)):
        (tmp_path / "set" / name).mkdir(parents=True)
        nib.save(nib.Nifti1Image(content, np.eye(4)), tmp_path / "set" / name / "scan.nii.gz")
    images = find_images(str(tmp_path / "set"), str(tmp_path / "found"), None)
    store = LabelStore(tmp_path / "run" / "labels", images.classes, images.root)
    rows = []
    for rank, frame in enumerate((2, 0, 3, 1)):
        item = next(item for item in images.items if item.get("frame") == frame)
        mask = np.asarray(read_label(item, item["label"], images.classes) > 0)
        facts = {"labeler": "prompted", "drawn_by": "labeler", "score": 0.6, "accepted": True}
        store.write(item, mask, {**facts, "view_size": 64, "teacher_size": 64, "signals": {}, "prompts": []})
        rows.append({"id": item["id"], "gain": 0.4 - 0.05 * rank, "reason": "accepted"})
    log = DecisionLog(tmp_path / "run" / "review", images.classes)
    predictor, teacher = parts
    return ReviewSession(Cases(images, store, pd.DataFrame(rows), predictor), log, Corrector(teacher, images))


@dataclass
class Served:
    """A page that is being served; ``ask`` sends a request as its own page would."""

    port: int
    stop: Callable[[], None]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def ask(self, method: str, path: str, said: Any = None, **changed: str | None) -> tuple[int, bytes, dict[str, str]]:
        own = {
            "host": f"127.0.0.1:{self.port}", "cookie": f"page={TOKEN}", "origin": f"http://127.0.0.1:{self.port}",
            "x-reviewer": "ann",
        }  # fmt: skip
        headers = {k: v for k, v in {**own, **{k.replace("_", "-"): v for k, v in changed.items()}}.items() if v}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = said if isinstance(said, bytes) else None if said is None else json.dumps(said).encode()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, {k.lower(): v for k, v in answer.getheaders()}

    def json(self, method: str, path: str, said: Any = None) -> Any:
        status, content, _ = self.ask(method, path, said)
        assert status == 200, (status, content)
        return json.loads(content)


@pytest.fixture
def serve_page() -> Iterator[Callable[..., Served]]:
    """Serve sessions in threads, at free ports or a given one, until the test ends."""
    begun: list[Served] = []

    def begin(session: ReviewSession, port: int = 0) -> Served:
        begun.append(begin_page(session, port))
        return begun[-1]

    yield begin
    for served in begun:
        served.stop()


@pytest.fixture(scope="module")
def one_page(tmp_path_factory: pytest.TempPathFactory, parts: tuple[Predictor, CompactTeacher]) -> Iterator[Served]:
    """A page for requests that change nothing."""
    served = begin_page(session_in(tmp_path_factory.mktemp("page"), parts))
    yield served
    served.stop()


def begin_page(session: ReviewSession, port: int = 0) -> Served:
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'labelmine[review]'")
    from labelmine.review.server import build_app

    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(build_app(session, TOKEN, "page"), log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        listening.close()

    return Served(listening.getsockname()[1], stop)
