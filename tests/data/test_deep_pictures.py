from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from labelmine.data import Item, read_image
from labelmine.data.deep_pictures import is_deep_color, read_deep_color, used_bits
from labelmine.data.image_assumptions import image_assumptions
from labelmine.errors import DataError

COLORS = np.random.default_rng(0).integers(0, 2**16, (7, 9, 3)).astype(np.uint16)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """PNG of 16 bits a channel, by its specification."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def item_of(path: Path) -> Item:
    return Item(id=path.stem, image=str(path), group=path.stem)


def write(tmp_path: Path, kind: str, pixels: np.ndarray) -> Path:
    if kind == "png":
        return write_png(tmp_path / "a.png", pixels)
    options: dict[str, Any] = {"photometric": "rgb"}
    if kind == "planes":
        pixels, options["planarconfig"] = np.moveaxis(pixels, -1, 0), "separate"
    options |= {"big": {"bigtiff": True}, "motorola": {"byteorder": ">"}}.get(kind, {})
    options |= {"deflate": {"compression": "zlib"}, "tiles": {"tile": (16, 16)}}.get(kind, {})
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    return tmp_path / "a.tif"


@pytest.mark.parametrize("kind", ["png", "tif", "planes", "big", "motorola", "deflate", "tiles"])
def test_colour_of_16_bits(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, COLORS)
    assert is_deep_color(path)
    np.testing.assert_allclose(read_image(item_of(path)), COLORS / 65535, atol=1e-6)
    assert image_assumptions(item_of(path)) == []


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colour_that_uses_fewer_bits_is_scaled_to_them_and_said(tmp_path: Path, kind: str, bits: int) -> None:
    pixels = COLORS >> (16 - bits)
    path = write(tmp_path, kind, pixels)
    np.testing.assert_allclose(read_image(item_of(path)), pixels / (2**bits - 1), atol=1e-6)
    said = f"colour pictures of 16 bits that use only {bits} of them were scaled to {bits} bits"
    assert image_assumptions(item_of(path)) == [said]


@pytest.mark.parametrize(("highest", "bits"), [(0, 16), (200, 16), (256, 9), (4095, 12), (4096, 13), (65535, 16)])
def test_used_bits(highest: int, bits: int) -> None:
    assert used_bits(np.array([0, highest], np.uint16)) == bits


def test_transparent_pixels_become_black(tmp_path: Path) -> None:
    alpha = np.full((7, 9, 1), 65535, np.uint16)
    alpha[0], alpha[1] = 0, 32768
    path = write_png(tmp_path / "a.png", np.concatenate([COLORS, alpha], -1))
    np.testing.assert_allclose(read_deep_color(path), COLORS * (alpha / 65535), atol=0.6)


def test_float_colour(tmp_path: Path) -> None:
    unit = (COLORS / 65535).astype(np.float32)
    np.testing.assert_array_equal(read_image(item_of(write(tmp_path, "tif", unit))), unit)
    with pytest.raises(DataError, match=r"a.tif: colour as floats outside 0 to 1"):
        read_image(item_of(write(tmp_path, "tif", unit * 2)))
    with pytest.raises(DataError, match=r"a.tif: colour stored as uint32, whose range is not known"):
        read_image(item_of(write(tmp_path, "tif", COLORS.astype(np.uint32))))


def test_pages_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([COLORS, COLORS]), photometric="rgb")
    with pytest.raises(DataError, match=r"a.tif: holds 2 pages; save each page as a file of its own"):
        read_image(item_of(tmp_path / "a.tif"))


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_and_bytes_are_read_as_ever(tmp_path: Path, dtype: type, bigtiff: bool) -> None:
    pixels = (COLORS[..., 0] >> 8).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, bigtiff=bigtiff)
    assert not is_deep_color(tmp_path / "a.tif")
    read = read_image(item_of(tmp_path / "a.tif"))[..., 0]
    assert np.corrcoef(read.ravel(), pixels.ravel())[0, 1] > 0.99
    rgb = (COLORS >> 8).astype(np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", rgb, bigtiff=bigtiff, photometric="rgb")
    assert not is_deep_color(tmp_path / "b.tif")
    np.testing.assert_allclose(read_image(item_of(tmp_path / "b.tif")), rgb / 255, atol=1e-6)


def test_pictures_beyond_the_limit_are_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    Image.new("L", (200, 101)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: picture of more than 0.02 million pixels; cut it into tiles, or save"):
        read_image(item_of(tmp_path / "a.png"))
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((200, 101, 3), np.uint16), photometric="rgb")
    with pytest.raises(DataError, match=r"b.tif: picture of more than 0.02 million pixels"):
        read_image(item_of(tmp_path / "b.tif"))
