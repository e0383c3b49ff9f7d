"""ONNX graphs around a student's: from whole images in 0..255 to its view, and from its logits back to their size.

Resizing is written as two products with matrices of triangle weights. That is what torch's antialiased bilinear
interpolation computes; ONNX's own ``Resize`` with ``antialias`` differs from it by up to 0.05 in ONNX Runtime 1.32, and
OpenVINO 2026.4 reads it without the antialiasing.
"""

from __future__ import annotations

from typing import Any

from labelmine.extras import extra

OPSET = 18
IR_VERSION = 10
#: The one input and the one output of the file.
IMAGE, PROBABILITY = "image", "probability"

_HEADER = f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>'

# Sizes by whole numbers, halves to even: OpenVINO has no double precision, and lost a row of 80 in a million sizes.
_BEFORE = """
before (float[N, H, W, 3] image) => (float[N, 3, {side}, {side}] view, int64[2] original, int64[2] extent)
{{
  original = Shape <start = 1, end = 3> (image)
  longest = ReduceMax (original)
  side = Constant <value_ints = [{side}]> ()
  two = Constant <value_int = 2> ()
  one = Constant <value_int = 1> ()
  zero = Constant <value_int = 0> ()
  long_twice = Mul (longest, two)
  filled = Mul (original, side)
  filled_twice = Mul (filled, two)
  over = Add (filled_twice, longest)
  half_up = Div (over, long_twice)
  rest = Mod (over, long_twice)
  is_half = Equal (rest, zero)
  half_or_not = Cast <to = 7> (is_half)
  odd = Mod (half_up, two)
  too_much = Mul (odd, half_or_not)
  half_to_even = Sub (half_up, too_much)
  extent = Max (half_to_even, one)
  half = Constant <value_float = 0.5> ()
  one_f = Constant <value_float = 1.0> ()
  columns_axis = Constant <value_ints = [1]> ()
{rows}{columns}
  channels = Transpose <perm = [0, 3, 1, 2]> (image)
  narrow = MatMul (channels, columns_weights_t)
  small = MatMul (rows_weights, narrow)
  white = Constant <value_float = 255.0> ()
  unit = Div (small, white)
  zero_f = Constant <value_float = 0.0> ()
  clipped = Clip (unit, zero_f, one_f)
  nothing = Constant <value_ints = [0, 0, 0, 0, 0, 0]> ()
  padding = Sub (side, extent)
  pads = Concat <axis = 0> (nothing, padding)
  view = Pad (clipped, pads)
}}
"""

# One line per sample of the view, one column per pixel of the image; each line sums to 1.
_WEIGHTS = """
  {name}_index = Constant <value_int = {axis}> ()
  {name}_from = Gather (original, {name}_index)
  {name}_to = Gather (extent, {name}_index)
  {name}_from_f = Cast <to = 1> ({name}_from)
  {name}_to_f = Cast <to = 1> ({name}_to)
  {name}_ratio = Div ({name}_from_f, {name}_to_f)
  {name}_reach = Max ({name}_ratio, one_f)
  {name}_samples = Range (zero, {name}_to, one)
  {name}_samples_f = Cast <to = 1> ({name}_samples)
  {name}_samples_middle = Add ({name}_samples_f, half)
  {name}_centres = Mul ({name}_samples_middle, {name}_ratio)
  {name}_centres_2 = Unsqueeze ({name}_centres, columns_axis)
  {name}_pixels = Range (zero, {name}_from, one)
  {name}_pixels_f = Cast <to = 1> ({name}_pixels)
  {name}_middles = Add ({name}_pixels_f, half)
  {name}_distances = Sub ({name}_middles, {name}_centres_2)
  {name}_absolute = Abs ({name}_distances)
  {name}_relative = Div ({name}_absolute, {name}_reach)
  {name}_falling = Sub (one_f, {name}_relative)
  {name}_triangle = Relu ({name}_falling)
  {name}_sum = ReduceSum <keepdims = 1> ({name}_triangle, columns_axis)
  {name}_weights = Div ({name}_triangle, {name}_sum)
"""
_TRANSPOSED = "  columns_weights_t = Transpose <perm = [1, 0]> (columns_weights)\n"

_AFTER = """
after (float[N, {outputs}, {side}, {side}] logits, int64[2] original, int64[2] extent)
  => (float[N, {classes}, H, W] probability)
{{
  start = Constant <value_ints = [0, 0]> ()
  axes = Constant <value_ints = [2, 3]> ()
  inside = Slice (logits, start, extent, axes)
{activation}
  leading = Shape <start = 0, end = 2> (found)
  sizes = Concat <axis = 0> (leading, original)
  probability = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (found, , , sizes)
}}
"""
_SIGMOID = "  found = Sigmoid (inside)"
_SOFTMAX = """
  shares = Softmax <axis = 1> (inside)
  first = Constant <value_ints = [1]> ()
  last = Constant <value_ints = [{outputs}]> ()
  class_axis = Constant <value_ints = [1]> ()
  found = Slice (shares, first, last, class_axis)
"""


def around(core: Any, side: int, n_classes: int, exclusive: bool) -> Any:
    """Return a model of whole images around one of views.

    Args:
        core: ``onnx.ModelProto`` of opset 18 from ``view`` (N, 3, S, S) in [0, 1] to ``logits``.
        side: S, pixels of the view.
        n_classes: K foreground classes.
        exclusive: Whether logits have a background first and become a softmax.

    Returns:
        ``onnx.ModelProto`` from ``image`` (N, H, W, 3) float32 in 0..255 to ``probability`` (N, K, H, W) in [0, 1].
    """
    onnx = extra("onnx", "onnx")
    outputs = n_classes + int(exclusive)
    rows, columns = (_WEIGHTS.format(name=name, axis=axis) for axis, name in enumerate(("rows", "columns")))
    before = onnx.parser.parse_model(_HEADER + _BEFORE.format(side=side, rows=rows, columns=columns + _TRANSPOSED))
    activation = _SOFTMAX.format(outputs=outputs) if exclusive else _SIGMOID
    after = onnx.parser.parse_model(
        _HEADER + _AFTER.format(side=side, outputs=outputs, classes=n_classes, activation=activation)
    )
    core = onnx.compose.add_prefix(core, "student/", rename_inputs=False, rename_outputs=False)
    seen = onnx.compose.merge_models(before, core, io_map=[("view", "view")])
    sizes = [(name, name) for name in ("original", "extent")]
    after = onnx.compose.add_prefix(after, "after/", rename_inputs=False, rename_outputs=False)
    whole = onnx.compose.merge_models(seen, after, io_map=[("logits", "logits"), *sizes])
    del whole.opset_import[1:]  # merging names the same one three times, which quantisers refuse
    return whole
