"""The content of a .tflite file as plain values, its structure checked.

Nothing here knows what an operator means: indices are in range, vectors lie inside the file, a
tensor has as many bytes as its shape and type ask for. The schema is TFLite's
(tensorflow/compiler/mlir/lite/schema/schema.fbs) through the `tflite` package.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tflite

IDENTIFIER = b"TFL3"
MAX_RANK = 8
MAX_ELEMENTS = 2**31 - 1  # TFLite counts elements in int32

DAMAGED = "the file is truncated or damaged: an offset leads out of it"
# What the flatbuffers runtime raises then.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError)


class Malformed(Exception):
    """The file breaks a rule of its format; the text is the sentence for the user."""


@dataclass(frozen=True, eq=False)
class FileQuantization:
    """As written: one scale, or one for each slice of `axis`; zero points as many as scales."""

    scales: np.ndarray  # float32
    zero_points: np.ndarray  # int64
    axis: int


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of the file; `type` is the schema's name, `data` a constant's."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    quantization: FileQuantization | None
    data: np.ndarray | None  # uint8, a view of the file
    variable: bool
    sparse: bool
    other_quantization: bool  # a quantization scheme that is neither per-tensor nor per-axis


class Options:
    """An operator's options table, read field by field under the schema's accessor names."""

    def __init__(self, type_name: str, table: Any) -> None:
        self.type, self.table = type_name, table

    def get(self, name: str) -> Any:
        """A number or truth value."""
        try:
            return getattr(self.table, name)()
        except _DAMAGE as error:
            raise Malformed(DAMAGED) from error

    def vector(self, name: str) -> list[int]:
        """A vector with one number an axis."""
        count = int(self.get(f"{name}Length"))
        if count > MAX_RANK:
            raise Malformed(f"{name} has {count} numbers, at most {MAX_RANK} are read")
        return [int(n) for n in self.get(f"{name}AsNumpy")] if count else []


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator of the file: `code` is the schema's name, an input of -1 is left out."""

    index: int
    code: str
    custom_code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]
    options: Options | None
    custom_options: bytes

    @property
    def title(self) -> str:
        """The operator as the user knows it: its custom code, or TFLite's name."""
        return self.custom_code if self.code == "CUSTOM" and self.custom_code else self.code

    @property
    def operands(self) -> tuple[int, ...]:
        return tuple(index for index in self.inputs if index >= 0)


@dataclass(frozen=True, eq=False)
class FileModel:
    """A subgraph of a file. The first has the `others`; any node may read its `states`."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    signatures: Mapping[str, Mapping[str, Mapping[str, int]]]
    sha256: str
    others: tuple[FileModel, ...] = ()
    states: frozenset[int] = frozenset()


def parse(content: bytes) -> FileModel:
    """The model in `content`; raises `Malformed`, and nothing else, if it isn't one."""
    _check_identifier(content)
    try:
        return _Parser(content).model()
    except _DAMAGE as error:
        raise Malformed(DAMAGED) from error


def _check_identifier(content: bytes) -> None:
    if not content:
        raise Malformed("the file is empty")
    found = content[4:8]
    if found == IDENTIFIER:
        return
    if found[:3] == b"TFL":
        raise Malformed(f"this is TFLite schema {found[3:].decode('latin-1')!r}, needed is '3'")
    raise Malformed(
        "not a TFLite file: bytes 4 to 7 must be 'TFL3', not " + ascii(found.decode("latin-1"))
    )


def _names(enumeration: type) -> dict[int, str]:
    return {v: k for k, v in vars(enumeration).items() if isinstance(v, int)}


OPERATOR_NAMES = _names(tflite.BuiltinOperator)
OPTIONS_NAMES = _names(tflite.BuiltinOptions)
TYPE_NAMES = _names(tflite.TensorType)

ITEM_BITS: Mapping[str, int] = {
    "FLOAT32": 32, "FLOAT16": 16, "INT32": 32, "UINT8": 8, "INT64": 64, "BOOL": 8, "INT16": 16,
    "COMPLEX64": 64, "INT8": 8, "FLOAT64": 64, "COMPLEX128": 128, "UINT64": 64, "UINT32": 32,
    "UINT16": 16, "INT4": 4, "BFLOAT16": 16,
}  # fmt: skip

# Types that a scale can belong to, and the range of their zero points.
INTEGERS: Mapping[str, str] = {
    "INT8": "int8", "UINT8": "uint8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "INT4": "int8",
}  # fmt: skip


class _Parser:
    """One pass over the tables.

    Tables of a flatbuffer may share their parts, so a small damaged file can describe endless
    content. `budget` bounds all that is read to a multiple of the file's own size.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.budget = 16 * len(content) + 65536
        self.root = tflite.Model.GetRootAs(content, 0)

    def spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise Malformed("the file is damaged: its tables overlap")

    def model(self) -> FileModel:
        root = self.root
        if root.Version() != 3:
            raise Malformed(f"the schema version must be 3, not {root.Version()}")
        if self.count(root, "Subgraphs") < 1:
            raise Malformed("the model has no subgraph")
        codes = [self.code(i) for i in range(self.count(root, "OperatorCodes"))]
        first, *others = (
            self.subgraph(self.item(root, "Subgraphs", i), codes)
            for i in range(self.count(root, "Subgraphs"))
        )
        return replace(
            first, others=tuple(others), signatures=self.signatures(len(first.tensors)),
            sha256=hashlib.sha256(self.content).hexdigest(),
        )  # fmt: skip

    def subgraph(self, graph: Any, codes: Sequence[tuple[str, str, int]]) -> FileModel:
        tensors = tuple(self.tensor(graph, i) for i in range(self.count(graph, "Tensors")))
        operators = tuple(
            self.operator(graph, i, codes, len(tensors))
            for i in range(self.count(graph, "Operators"))
        )
        inputs = self.indices(graph, "Inputs", len(tensors), "the model's inputs")
        outputs = self.indices(graph, "Outputs", len(tensors), "the model's outputs")
        return FileModel(tensors, operators, inputs, outputs, {}, "")

    # ---- parts of any table ----

    def count(self, table: Any, field: str) -> int:
        length = int(getattr(table, f"{field}Length")())
        self.spend(4 * length)
        return length

    def item(self, table: Any, field: str, position: int) -> Any:
        value = getattr(table, field)(position)
        if value is None:
            raise Malformed(f"the file is damaged: entry {position} of {field} is missing")
        return value

    def vector(self, table: Any, field: str, itemsize: int = 4) -> np.ndarray:
        length = int(getattr(table, f"{field}Length")())
        self.spend(itemsize * length)
        if not length:
            return np.zeros(0, np.int32)
        return np.asarray(getattr(table, f"{field}AsNumpy")())

    def text(self, value: bytes | None) -> str:
        self.spend(len(value or b""))
        return (value or b"").decode("utf-8", errors="replace")

    def indices(
        self, table: Any, field: str, count: int, owner: str, least: int = 0
    ) -> tuple[int, ...]:
        found = tuple(self.vector(table, field).tolist())
        for index in found:
            if not least <= index < count:
                raise Malformed(f"{owner} name tensor {index}, the model has {count} tensors")
        return found

    # ---- tensors ----

    def tensor(self, graph: Any, index: int) -> FileTensor:
        table = self.item(graph, "Tensors", index)
        type_name = TYPE_NAMES.get(table.Type())
        if type_name is None:
            raise Malformed(f"tensor {index} has the unknown type {table.Type()}")
        shape = tuple(self.vector(table, "Shape").tolist())
        self.check_shape(index, shape)
        data = self.data(table, index)
        if data is not None:
            check_size(index, shape, type_name, len(data))
        if data is not None and table.IsVariable():
            raise Malformed(f"tensor {index} is a variable and a constant at once")
        quantization, other = self.quantization(table, index, shape, type_name)
        return FileTensor(
            index, self.text(table.Name()), shape, type_name, quantization, data,
            bool(table.IsVariable()), table.Sparsity() is not None, other,
        )  # fmt: skip

    def check_shape(self, index: int, shape: Sequence[int]) -> None:
        if len(shape) > MAX_RANK:
            raise Malformed(f"tensor {index} has {len(shape)} axes, at most {MAX_RANK} are read")
        if any(size < 0 for size in shape):
            raise Malformed(f"tensor {index} has a negative size in its shape {list(shape)}")
        if math.prod(max(size, 1) for size in shape) > MAX_ELEMENTS:
            raise Malformed(f"tensor {index} of shape {list(shape)} has more than 2^31 elements")

    def data(self, table: Any, index: int) -> np.ndarray | None:
        number, buffers = table.Buffer(), self.root.BuffersLength()
        if number == 0 and buffers == 0:
            return None
        if number >= buffers:
            raise Malformed(f"tensor {index} names buffer {number}, the file has {buffers}")
        buffer = self.item(self.root, "Buffers", number)
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise Malformed(f"tensor {index} keeps its data behind the flatbuffer (over 2 GB)")
        if buffer.DataLength() == 0:
            return None
        return np.asarray(buffer.DataAsNumpy())

    def quantization(
        self, table: Any, index: int, shape: Sequence[int], type_name: str
    ) -> tuple[FileQuantization | None, bool]:
        values = table.Quantization()
        if values is None:
            return None, False
        other = values.DetailsType() != tflite.QuantizationDetails.NONE
        scales = self.vector(values, "Scale")
        if not len(scales) or type_name not in INTEGERS:
            return None, other
        zero_points = self.vector(values, "ZeroPoint", 8)
        if len(zero_points) not in (0, 1, len(scales)):
            raise Malformed(
                f"tensor {index} has {len(scales)} scales and {len(zero_points)} zero points"
            )
        if not len(zero_points):
            zero_points = np.zeros(1, np.int64)
        axis = values.QuantizedDimension()
        if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
            raise Malformed(
                f"tensor {index} of shape {list(shape)} has {len(scales)} scales along axis {axis}"
            )
        if not (np.isfinite(scales) & (scales > 0)).all():
            bad = scales[~(np.isfinite(scales) & (scales > 0))][0]
            raise Malformed(f"tensor {index} has the scale {bad}; a scale is positive and finite")
        limits = np.iinfo(INTEGERS[type_name])
        if zero_points.min() < limits.min or zero_points.max() > limits.max:
            raise Malformed(f"tensor {index} of type {type_name} has a zero point out of its range")
        zero_points = np.broadcast_to(zero_points, scales.shape)
        return FileQuantization(scales, zero_points, axis if len(scales) > 1 else 0), other

    # ---- operators ----

    def code(self, position: int) -> tuple[str, str, int]:
        """(operator name, custom code, version); codes over 127 have a field of their own."""
        table = self.item(self.root, "OperatorCodes", position)
        number = max(table.BuiltinCode(), table.DeprecatedBuiltinCode())
        name = OPERATOR_NAMES.get(number, f"operator {number}")
        return name, self.text(table.CustomCode()), int(table.Version())

    def operator(
        self, graph: Any, index: int, codes: Sequence[tuple[str, str, int]], tensors: int
    ) -> FileOperator:
        table = self.item(graph, "Operators", index)
        number = table.OpcodeIndex()
        if not 0 <= number < len(codes):
            raise Malformed(f"node {index} has operator code {number}, the file has {len(codes)}")
        name, custom_code, version = codes[number]
        owner = f"node {index} ({name}):"
        inputs = self.indices(table, "Inputs", tensors, f"{owner} its inputs", -1)
        outputs = self.indices(table, "Outputs", tensors, f"{owner} its outputs")
        middle = self.indices(table, "Intermediates", tensors, f"{owner} its intermediates")
        options = self.options(table, owner)
        custom = self.vector(table, "CustomOptions", 1).astype(np.uint8).tobytes()
        return FileOperator(
            index, name, custom_code, version, inputs, outputs, middle, options, custom
        )

    def options(self, table: Any, owner: str) -> Options | None:
        number = table.BuiltinOptionsType()
        if number not in OPTIONS_NAMES:
            raise Malformed(f"{owner} it has options of the unknown type {number}")
        name, raw = OPTIONS_NAMES[number], table.BuiltinOptions()
        if name == "NONE" or raw is None:
            return None
        values = getattr(tflite, name)()
        values.Init(raw.Bytes, raw.Pos)
        return Options(name, values)

    # ---- signatures ----

    def signatures(self, tensors: int) -> dict[str, Mapping[str, Mapping[str, int]]]:
        found: dict[str, Mapping[str, Mapping[str, int]]] = {}
        for i in range(self.count(self.root, "SignatureDefs")):
            table = self.item(self.root, "SignatureDefs", i)
            if table.SubgraphIndex() == 0:
                key = self.text(table.SignatureKey())
                found[key] = {
                    "inputs": self.tensor_map(table, "Inputs", tensors, key),
                    "outputs": self.tensor_map(table, "Outputs", tensors, key),
                }
        return found

    def tensor_map(self, table: Any, field: str, tensors: int, key: str) -> dict[str, int]:
        names = {}
        for i in range(self.count(table, field)):
            entry = self.item(table, field, i)
            if not 0 <= entry.TensorIndex() < tensors:
                raise Malformed(
                    f"signature {key!r} names tensor {entry.TensorIndex()}, "
                    f"the model has {tensors} tensors"
                )
            names[self.text(entry.Name())] = int(entry.TensorIndex())
        return names


def check_size(index: int, shape: Sequence[int], type_name: str, size: int) -> None:
    """Raise unless `size` bytes are what a constant of this shape and type has."""
    bits = ITEM_BITS.get(type_name)
    if bits is None:
        return  # strings and resources: the nodes that use them are refused
    needed = -(-math.prod(shape) * bits // 8)
    if size != needed:
        raise Malformed(
            f"tensor {index} of type {type_name} and shape {list(shape)} needs {needed} bytes of "
            f"data, its buffer has {size}"
        )
