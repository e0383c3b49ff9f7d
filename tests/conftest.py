"""Fixtures and small makers that tests of every room share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dicom_makers import write_dicom
from labelmine.data.items import Item
from labelmine.data.phantom import phantom


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Images of 64 pixels gain nothing from threads, which wait for each other on a busy machine (minutes)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Embeddings of the tests stay out of the user's own cache."""
    folder = tmp_path_factory.mktemp("embeddings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELMINE_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real images beside the checkout; a test that needs it carries ``@pytest.mark.shared``."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real images (../shared/data beside the checkout) are not there")
    return folder


@pytest.fixture
def make_items() -> Callable[..., list[Item]]:
    """Maker of items that name files nobody reads: ``make_items(5, labeled=3, groups=["a", "a", ...])``."""

    def make(count: int, labeled: int | None = None, groups: list[str] | None = None) -> list[Item]:
        items: list[Item] = []
        for number in range(count):
            name = f"image_{number:03d}"
            item: Item = {"id": name, "image": f"images/{name}.png", "group": groups[number] if groups else name}
            if labeled is None or number < labeled:
                item["label"] = f"masks/{name}.png"
            items.append(item)
        return items

    return make


@pytest.fixture
def phantom_folder(tmp_path: Path) -> Callable[..., Path]:
    """Maker of a folder with ``images/`` and ``masks/``: ``phantom_folder(12, labeled=10, size=48)``."""

    def make(count: int = 12, labeled: int | None = None, size: int = 48, name: str = "dataset") -> Path:
        root = tmp_path / name
        for folder in ("images", "masks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, mask = phantom(0, index, size)
            Image.fromarray(image).save(root / "images" / f"case_{index:02d}.png")
            if labeled is None or index < labeled:
                Image.fromarray(np.asarray(mask)).save(root / "masks" / f"case_{index:02d}.png")
        return root

    return make


@pytest.fixture
def make_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Maker of a DICOM file: ``make_dicom(pixels, name="a.dcm", RescaleSlope=2, Rows=...)``."""

    def make(pixels: np.ndarray, name: str = "a.dcm", **options: object) -> Path:
        return write_dicom(tmp_path / name, np.asarray(pixels), **options)

    return make
