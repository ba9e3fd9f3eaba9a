"""Readers of operators that a user brings: any operands, options as a map of numbers and texts."""

from __future__ import annotations

import struct
from typing import Any

from flatbuffers import flexbuffers

from ..custom import PREFIX, Options, find
from .tflite_file import Malformed
from .tflite_reading import Parts, Reader, Reading

MOST_OPTIONS = 256
MOST_OPERANDS = 64
_ANY_VERSION = 1 << 30
DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, KeyError)


def reader(code: str) -> Reader | None:
    """The reader of a custom operator that somebody brought, or None."""
    if find(code) is None:
        return None

    def read(node: Reading) -> Parts:
        return Parts(PREFIX + code, options(node.operator.custom_options), node.operator.inputs)

    return Reader(read, None, _ANY_VERSION, (1, MOST_OPERANDS), None)


def options(content: bytes) -> Options:
    """The options of a FlexBuffer map; none where the file has none."""
    if not content:
        return Options()
    try:
        root = flexbuffers.GetRoot(content)
        if not root.IsMap or len(root.AsMap) > MOST_OPTIONS:
            raise Malformed(f"its custom options are no map of at most {MOST_OPTIONS} entries")
        values = root.AsMap
        names = [bytes(key.AsKeyBytes).decode("ascii") for key in values.Keys]
        return Options(tuple(zip(names, map(_value, values.Values), strict=True)))
    except DAMAGE as error:
        raise Malformed("its custom options are damaged: not a FlexBuffer map") from error


def _value(value: Any) -> float | int | str:
    if value.IsInt or value.IsBool:
        return int(value.AsInt)
    if value.IsFloat:
        return float(value.AsFloat)
    if value.IsString:
        return str(value.AsString)
    raise Malformed("its custom options hold something that is neither number nor text")
