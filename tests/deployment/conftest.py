"""Cores so small that a graph around them is made at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def core() -> Callable[[int, int], Any]:
    """Maker of a core ``core(side, outputs)`` whose logits are the view's first channels, stretched."""
    onnx = pytest.importorskip("onnx")

    def make(side: int, outputs: int) -> Any:
        return onnx.parser.parse_model(f"""
            <ir_version: 10, opset_import: ["" : 18]>
            core (float[N, 3, {side}, {side}] view) => (float[N, {outputs}, {side}, {side}] logits) {{
              start = Constant <value_ints = [0]> ()
              end = Constant <value_ints = [{outputs}]> ()
              axis = Constant <value_ints = [1]> ()
              some = Slice (view, start, end, axis)
              ten = Constant <value_float = 10.0> ()
              five = Constant <value_float = 5.0> ()
              stretched = Mul (some, ten)
              logits = Sub (stretched, five)
            }}""")

    return make
