"""Readers of Larq Compute Engine's custom operators in .tflite files.

Their options are FlexBuffer maps; numbers in them mean what TFLite's enumerations say. Binary
tensors are int32 in the file, and become `binary` here; their bits are as midge has them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flatbuffers import flexbuffers

from ..attributes import BConv2D, Binarize, Debinarize, Pool2D
from ..graph import BINARY, Tensor
from ..shapes import words_of
from .tflite_file import Malformed
from .tflite_reading import Parts, Reader, Reading, Unsupported

MAX_OPTIONS = 32  # entries of a map that is still read
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, KeyError)

# The schema's accessor names, under which `Reading` asks, and Larq's own.
_NAMES = {
    "ChannelsIn": "channels_in",
    "DilationHFactor": "dilation_height_factor",
    "DilationWFactor": "dilation_width_factor",
    "FilterHeight": "filter_height",
    "FilterWidth": "filter_width",
    "FusedActivationFunction": "fused_activation_function",
    "PadValues": "pad_values",
    "Padding": "padding",
    "StrideH": "stride_height",
    "StrideW": "stride_width",
}


@dataclass(frozen=True)
class FlexOptions:
    """A map of integers, asked like an options table of the schema."""

    values: Mapping[str, int]
    type: str = "FlexBuffer"

    def get(self, name: str) -> int:
        key = _NAMES[name]
        if key not in self.values:
            raise Malformed(f"its options lack {key}")
        return self.values[key]


def flex_options(content: bytes) -> FlexOptions:
    """The options of a custom operator; `Malformed` if they aren't a map of integers."""
    try:
        root = flexbuffers.GetRoot(content)
        if not root.IsMap:
            raise Malformed("its custom options are not a FlexBuffer map")
        found = root.AsMap
        if len(found) > MAX_OPTIONS:
            raise Malformed(f"its custom options have {len(found)} entries")
        return FlexOptions(
            dict(zip(map(_key, found.Keys), map(_number, found.Values), strict=True))
        )
    except _DAMAGE as error:
        raise Malformed("its custom options are damaged: not a FlexBuffer map") from error


def _key(value: Any) -> str:
    return bytes(value.AsKeyBytes).decode("ascii")


def _number(value: Any) -> int:
    if not (value.IsInt or value.IsBool):
        raise Malformed("its custom options hold something that is not an integer")
    return int(value.AsInt)


def _with_options(node: Reading) -> Reading:
    options: Any = flex_options(node.operator.custom_options)
    return replace(node, operator=replace(node.operator, options=options))


def _words(node: Reading, position: int = 0) -> Tensor:
    tensor = node.tensor(position)
    if tensor.dtype not in ("int32", BINARY):
        raise Malformed(f"input {position} must be packed in int32, not {tensor.dtype}")
    return tensor


def quantize(node: Reading) -> Parts:
    x, y = node.tensor(0), node.output()
    if x.dtype not in ("float32", "int8", "bool"):
        raise Unsupported(
            f"it takes the signs of {x.dtype}", "convert the model with float32 or int8 activations"
        )
    node.per_tensor(x)
    if y.dtype != "int32" or not x.shape:
        raise Malformed("it must pack the last axis of its input in int32")
    return Parts("binarize", Binarize(), node.operands(0), binary=node.operator.outputs)


def dequantize(node: Reading) -> Parts:
    x, y = _words(node), node.output()
    if y.dtype not in ("float32", "int8", "bool"):
        raise Unsupported(
            f"it unpacks signs as {y.dtype}", "convert the model with float32 or int8 activations"
        )
    node.per_tensor(y)
    channels = y.shape[-1] if y.shape else 0
    if len(y.shape) != len(x.shape) or not channels or words_of(channels) != x.shape[-1]:
        raise Malformed(f"{channels} channels don't fill {list(x.shape)} words")
    return Parts("debinarize", Debinarize(channels), node.operands(0), _packed(node, 0))


def bconv2d(node: Reading) -> Parts:
    node = _with_options(node)
    x, weights, y = _words(node, 0), _words(node, 1), node.output()
    node.image(0), node.image(1)
    if weights.data is None:
        raise Unsupported("its weights are computed", "convert the model with constant weights")
    channels, pad_value = int(node.option("ChannelsIn")), int(node.option("PadValues"))
    if channels < 1 or words_of(channels) != x.shape[3]:
        raise Malformed(f"{channels} channels don't fill {x.shape[3]} words")
    if x.shape[3] % weights.shape[3] or weights.shape[0] % (x.shape[3] // weights.shape[3]):
        raise Malformed(
            f"weights of shape {list(weights.shape)} don't fit {x.shape[3]} words of input"
        )
    if pad_value not in (0, 1):
        raise Malformed(f"there is no padding value {pad_value}")
    dilation = node.dilation()
    stride, padding = node.window(weights.shape[1:3], dilation)  # type: ignore[arg-type]
    attrs = BConv2D(
        channels, stride, dilation, padding, pad_value=pad_value, activation=node.activation()
    )
    packed = _packed(node, 0, 1)
    if y.dtype == "int32":
        if node.optional(4) is None:
            raise Malformed("its thresholds are missing")
        # The thresholds contain the activation and, for negative multipliers, flipped weights.
        attrs = replace(attrs, activation="none")
        operands = (*node.operands(0, 1), None, None, node.index(4))
        return Parts("bconv2d", attrs, operands, (*packed, *node.operator.outputs))
    if y.dtype not in ("float32", "int8"):
        raise Unsupported(f"its output is {y.dtype}", "convert with float32 or int8 activations")
    node.per_tensor(y)
    for position in (2, 3):
        if node.tensor(position).dtype != "float32":
            raise Malformed(f"input {position} must be float32")
    return Parts("bconv2d", attrs, node.operands(0, 1, 2, 3), packed)


def bmax_pool2d(node: Reading) -> Parts:
    node = _with_options(node)
    _words(node)
    kernel = node.filter()
    stride, padding = node.window(kernel)
    packed = (*_packed(node, 0), *node.operator.outputs)
    return Parts("bmax_pool2d", Pool2D(kernel, stride, padding), node.operands(0), packed)


def _packed(node: Reading, *positions: int) -> tuple[int, ...]:
    return tuple(index for index in node.operands(*positions) if index is not None)


READERS: Mapping[str, Reader] = {
    "LceQuantize": Reader(quantize, None, 1),
    "LceDequantize": Reader(dequantize, None, 1),
    "LceBconv2d": Reader(bconv2d, None, 1, (5, 5)),
    "LceBMaxPool2d": Reader(bmax_pool2d, None, 1),
}
