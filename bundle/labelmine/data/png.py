"""PNG files as bytes, to be written whole."""

from __future__ import annotations

import io
from typing import Any

from numpy.typing import NDArray
from PIL import Image


def encode_png(pixels: NDArray[Any]) -> bytes:
    """Return pixels (H, W), or (H, W, 3), of an integer type that PNG has, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
