"""The Open Inference Protocol as midge uses it: method names, tensors to messages and back."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import InputError, TargetError
from ...runtime.graph import DTYPES, Graph, Tensor
from ...runtime.rounding import rounds_in_floats
from . import coding
from . import inference_pb2 as messages

SERVICE = "inference.GRPCInferenceService"
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
)
MAX_MESSAGE = 64 << 20  # bytes; a cut tensor of any model for small machines is far below

# Parameters beyond the protocol. Of a request: the cut (the device's nodes as ranges), the model's
# digest, and a checksum of the raw contents; of a response: a checksum, and the time it took. A
# digest ends in FLOATS where the device rounds as ONNX Runtime does, and not in whole numbers.
CUT, DIGEST, CHECKSUM, COMPUTE_MS = "midge_cut", "midge_sha256", "midge_crc32", "midge_compute_ms"
FLOATS = "/floats"

# Of a coded tensor: the coding's name. Of a request with differences: the stream that its frame
# belongs to, and the checksum of the frame before (none: this one stands alone). Of its response:
# the time that decoding took.
CODING, STREAM, BASE, DECODE_MS = "midge_coding", "midge_stream", "midge_base", "midge_decode_ms"

# Metadata of a call: what a device agrees on before it sends a tensor (`agreement`), and W3C's name
# for the trace that a request belongs to. A traced response has the server's times in SPANS:
# received, decoded, started, finished, packed, in microseconds after the first.
AGREE, TRACE, SPANS = "midge-agree", "traceparent", "midge_spans"
SPAN_TIMES = 5

# A tile's request has, in place of a cut, its task, its inference, and the pieces that it takes.
TILE, FRAME, PIECES = "midge_tile", "midge_frame", "midge_pieces"

DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "uint8": "UINT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FP32",
    "binary": "INT32",
}


def codec(method: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """(request serializer, response parser) of a method."""
    request = getattr(messages, f"{method}Request")
    response = getattr(messages, f"{method}Response")
    return request.SerializeToString, response.FromString


def digest_of(graph: Graph) -> str:
    """What both sides must have alike: the model's SHA-256, and how its numbers are rounded."""
    return graph.sha256 + (FLOATS if rounds_in_floats(graph) else "")


def describe(kind: type, tensor: Tensor) -> Any:
    """A tensor's description, of class `kind`."""
    return kind(name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=tensor.shape)


def pack(
    kind: type, tensors: Iterable[Tensor], values: Sequence[np.ndarray]
) -> tuple[list[Any], list[bytes]]:
    """Descriptions of class `kind` and raw contents (little endian, C order)."""
    descriptions, contents = [], []
    for tensor, value in zip(tensors, values, strict=True):
        descriptions.append(describe(kind, tensor))
        contents.append(np.ascontiguousarray(value).tobytes())
    return descriptions, contents


def checksum(contents: Iterable[bytes]) -> int:
    """CRC-32 over all raw contents: what TCP's own sum lets through must not become an answer."""
    crc = 0
    for content in contents:
        crc = zlib.crc32(content, crc)
    return crc


def check(contents: Iterable[bytes], parameters: Any) -> None:
    """`InputError` unless a message of midge carries the checksum that its contents have."""
    if CHECKSUM not in parameters or parameters[CHECKSUM].int64_param != checksum(contents):
        raise InputError("the contents don't match their checksum: they changed on the way")


def unpack(
    tensors: Sequence[Tensor],
    descriptions: Sequence[Any],
    contents: Sequence[bytes],
    frame: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Arrays in the order of `tensors`; `InputError` if anything is not as they say.

    `frame` has their values before, for contents that are coded as differences.
    """
    if len(descriptions) != len(tensors) or len(contents) != len(tensors):
        raise InputError(
            f"{len(tensors)} tensors with raw contents are needed, "
            f"{len(descriptions)} with {len(contents)} came"
        )
    came = {d.name: (d, c) for d, c in zip(descriptions, contents, strict=True)}
    bases: list[np.ndarray | None] = [*frame] if frame else [None for _ in tensors]
    made = [(value.shape, value.dtype) for value in frame or ()]
    if made != [(t.shape, DTYPES[t.dtype]) for t in tensors if frame]:
        raise TargetError("the frame before has other tensors: send one that stands alone")
    return [
        _array(tensor, *came.get(tensor.name, (None, b"")), base)
        for tensor, base in zip(tensors, bases, strict=True)
    ]


def _array(tensor: Tensor, description: Any, content: bytes, base: np.ndarray | None) -> np.ndarray:
    if description is None:
        raise InputError(f"tensor {tensor.name!r} is missing")
    wanted = DATATYPES[tensor.dtype], tensor.shape
    given = description.datatype, tuple(description.shape)
    coded = CODING in description.parameters
    if given != wanted or not (coded or len(content) == tensor.bytes):
        raise InputError(
            f"tensor {tensor.name!r} must be {wanted[0]} of shape {list(wanted[1])} in "
            f"{tensor.bytes} bytes, not {given[0]} of shape {list(given[1])} in "
            f"{len(content)} bytes"
        )
    if coded:
        return coding.decode(description.parameters[CODING].string_param, content, tensor, base)
    return np.frombuffer(content, DTYPES[tensor.dtype]).reshape(tensor.shape)
