"""Coding a tensor that crosses a cut: fewer bytes on the link for some time on both sides.

Lossless: bit-shuffle + LZ4 (Masui et al., "A compression scheme for radio data in high performance
computing", 2015; LZ4's block format), a sparsity mask with the values beside the zero point
(Aimar et al., "NullHop", 2017), and the difference to the frame before. Lossy, and taken only by
name: linear codes of 8 and 4 bits (SPINN, MobiCom 2020; ADCNN, ICPP 2020).

A decoder knows the size of what it makes before it reads a byte, and never makes more: contents
that would, or that don't fill the tensor, are an `InputError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...runtime.backend import missing_package
from ...runtime.errors import InputError, TargetError
from ...runtime.graph import DTYPES, Tensor

Array = np.ndarray


@dataclass(frozen=True)
class Coding:
    """`encode` makes a flat array of a tensor's elements into bytes, `decode` makes them back."""

    summary: str
    lossless: bool
    encode: Callable[[Array, Tensor], bytes]
    decode: Callable[[bytes, Tensor], Array]
    dtypes: tuple[str, ...] = tuple(DTYPES)
    of_difference: bool = False  # what is coded is the difference to the frame before


def encode(name: str, value: Array, tensor: Tensor, base: Array | None = None) -> bytes:
    """A tensor's contents as coding `name` has them; `base` is the frame before, for differences.

    `TargetError` if the coding does not take this tensor.
    """
    coding = find_coding(name, tensor)
    flat = np.ascontiguousarray(value, DTYPES[tensor.dtype]).reshape(-1)
    if coding.of_difference:
        flat = _words(flat) - (0 if base is None else _words(base.reshape(-1)))
    return coding.encode(flat, tensor)


def decode(name: str, content: bytes, tensor: Tensor, base: Array | None = None) -> Array:
    """The tensor that `encode` was given, or (lossy) one near it; `InputError` for bad contents."""
    try:
        coding = find_coding(name, tensor)
    except TargetError as error:
        raise InputError(str(error)) from None
    flat = coding.decode(content, tensor)
    if coding.of_difference and base is not None:
        flat = _words(flat) + _words(base.reshape(-1))
    return np.ascontiguousarray(flat).view(DTYPES[tensor.dtype]).reshape(tensor.shape)


def find_coding(name: str, tensor: Tensor) -> Coding:
    """The coding of a name; `TargetError` if there is none, or it does not take the tensor."""
    if name not in CODINGS:
        raise TargetError(f"there is no coding {name[:20]!r}; there are {', '.join(CODINGS)}")
    coding = CODINGS[name]
    if tensor.dtype not in coding.dtypes:
        raise TargetError(
            f"coding {name} is for {', '.join(coding.dtypes)}, and tensor {tensor.name!r} is "
            f"{tensor.dtype}; use raw, lz4, mask or difference"
        )
    return coding


def _words(values: Array) -> Array:
    """Elements as unsigned integers of their size: sums and differences wrap, bits stay."""
    return np.ascontiguousarray(values).view(np.dtype(f"u{values.itemsize}"))


def _zero(tensor: Tensor) -> int:
    """The bits of the value that stands for 0, which activations have most often."""
    quantization = tensor.quantization
    if quantization is None or quantization.per_axis or DTYPES[tensor.dtype].kind == "f":
        return 0
    return int(quantization.zero_point) % (1 << 8 * tensor.itemsize)


def _relative(values: Array, tensor: Tensor) -> Array:
    words = _words(values)
    return words - words.dtype.type(_zero(tensor))


def _absolute(words: Array, tensor: Tensor) -> Array:
    return (words + words.dtype.type(_zero(tensor))).view(DTYPES[tensor.dtype])


# ---- raw ----


def _raw(values: Array, tensor: Tensor) -> bytes:
    return values.tobytes()


def _of_raw(content: bytes, tensor: Tensor) -> Array:
    _must(len(content) == tensor.bytes, tensor, len(content))
    return np.frombuffer(content, DTYPES[tensor.dtype])


# ---- bit-shuffle + LZ4 ----


def shuffle(words: Array) -> bytes:
    """Bit k of all elements together, for each k, most significant bit of each byte first."""
    octets = words.view(np.uint8).reshape(len(words), -1)
    return np.packbits(np.unpackbits(octets, axis=1).T, axis=1).tobytes()


def unshuffle(planes: bytes, dtype: np.dtype, count: int) -> Array:
    rows = np.frombuffer(planes, np.uint8).reshape(8 * dtype.itemsize, -1)
    bits = np.unpackbits(rows, axis=1, count=count)
    return np.packbits(bits.T, axis=1).reshape(-1).view(dtype)


def _block() -> Any:
    """LZ4's block format, of the extra midge[split]."""
    try:
        import lz4.block
    except ModuleNotFoundError as error:
        raise missing_package(error, "coding lz4") from None
    return lz4.block


def _lz4(values: Array, tensor: Tensor) -> bytes:
    return _difference(_relative(values, tensor), tensor)


def _planes(content: bytes, tensor: Tensor) -> Array:
    size = 8 * tensor.itemsize * -(-tensor.elements // 8)
    block = _block()
    try:  # makes `size` bytes at most, and fails where the contents hold more
        planes = block.decompress(content, uncompressed_size=size)
    except (block.LZ4BlockError, ValueError) as error:
        raise InputError(f"tensor {tensor.name!r}: not LZ4 of {size} bytes ({error})") from None
    _must(len(planes) == size, tensor, len(content))
    return unshuffle(planes, np.dtype(f"u{tensor.itemsize}"), tensor.elements)


def _of_lz4(content: bytes, tensor: Tensor) -> Array:
    return _absolute(_planes(content, tensor), tensor)


def _difference(words: Array, tensor: Tensor) -> bytes:
    return bytes(_block().compress(shuffle(words), store_size=False))


# ---- sparsity mask: which elements are not the zero point, as a bitmap or as runs ----

BITMAP, RUNS = b"\0", b"\1"
LONGEST = (1 << 16) - 1  # of a run


def _mask(values: Array, tensor: Tensor) -> bytes:
    words = _relative(values, tensor)
    present = words != 0
    kept = words[present].tobytes()
    bitmap = BITMAP + np.packbits(present).tobytes()
    borders = np.flatnonzero(np.diff(present)) + 1
    runs = np.diff(np.concatenate([[0], borders, [len(words)]]))
    if present[0]:
        runs = np.concatenate([[0], runs])  # the first run is of zeros
    if len(runs) * 2 + 4 >= len(bitmap) - 1 or runs.max() > LONGEST:
        return bitmap + kept
    return RUNS + struct.pack("<I", len(runs)) + runs.astype("<u2").tobytes() + kept


def _of_mask(content: bytes, tensor: Tensor) -> Array:
    present, at = _present(content, tensor)
    dtype = np.dtype(f"u{tensor.itemsize}")
    words = np.zeros(tensor.elements, dtype)
    _must(len(content) - at == int(present.sum()) * tensor.itemsize, tensor, len(content))
    words[present] = np.frombuffer(content, dtype, offset=at)
    return _absolute(words, tensor)


def _present(content: bytes, tensor: Tensor) -> tuple[Array, int]:
    """The mask, and where the values begin."""
    count, octets = tensor.elements, -(-tensor.elements // 8)
    if content[:1] == BITMAP and len(content) > octets:
        bits = np.unpackbits(np.frombuffer(content, np.uint8, octets, 1), count=count)
        return bits.astype(bool), 1 + octets
    _must(content[:1] == RUNS and len(content) >= 5, tensor, len(content))
    number = struct.unpack_from("<I", content, 1)[0]
    _must(len(content) >= 5 + 2 * number, tensor, len(content))
    runs = np.frombuffer(content, "<u2", number, 5).astype(np.int64)
    _must(int(runs.sum()) == count, tensor, len(content))
    return np.repeat(np.arange(number) % 2 == 1, runs), 5 + 2 * number


# ---- linear codes, lossy ----

LIMITS = "<dd"  # of the values that the least and the greatest code stand for


def _linear(values: Array, tensor: Tensor, greatest: int) -> tuple[bytes, Array]:
    real = values.astype(np.float64)
    low, high = float(real.min()), float(real.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise TargetError(f"tensor {tensor.name!r} has no finite limits, so no linear code either")
    step = (high - low) / greatest or 1.0
    return struct.pack(LIMITS, low, high), np.rint((real - low) / step).astype(np.uint8)


def _of_linear(limits: bytes, codes: Array, tensor: Tensor, greatest: int) -> Array:
    low, high = struct.unpack(LIMITS, limits)
    dtype = DTYPES[tensor.dtype]
    bounds = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if not bounds.min <= low <= high <= bounds.max:
        raise InputError(f"tensor {tensor.name!r}: its codes stand for {low} to {high}")
    values = low + codes * ((high - low) / greatest)
    if dtype.kind == "f":
        return values.astype(dtype)
    return np.clip(np.rint(values), bounds.min, bounds.max).astype(dtype)


def _u8(values: Array, tensor: Tensor) -> bytes:
    limits, codes = _linear(values, tensor, 255)
    return limits + codes.tobytes()


def _of_u8(content: bytes, tensor: Tensor) -> Array:
    _must(len(content) == 16 + tensor.elements, tensor, len(content))
    return _of_linear(content[:16], np.frombuffer(content, np.uint8, offset=16), tensor, 255)


def _u4(values: Array, tensor: Tensor) -> bytes:
    limits, codes = _linear(values, tensor, 15)
    pairs = np.resize(np.append(codes, np.uint8(0)), -(-len(codes) // 2) * 2)
    return limits + (pairs[::2] << 4 | pairs[1::2]).tobytes()


def _of_u4(content: bytes, tensor: Tensor) -> Array:
    _must(len(content) == 16 + -(-tensor.elements // 2), tensor, len(content))
    pairs = np.frombuffer(content, np.uint8, offset=16)
    codes = np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)[: tensor.elements]
    return _of_linear(content[:16], codes, tensor, 15)


def _must(holds: bool, tensor: Tensor, size: int) -> None:
    if not holds:
        raise InputError(
            f"tensor {tensor.name!r}: {size} coded bytes don't hold its {tensor.elements} elements"
        )


WIDE = ("int16", "int32", "float32")
CODINGS: Mapping[str, Coding] = {
    "raw": Coding("as it is", True, _raw, _of_raw),
    "lz4": Coding("bit-shuffle + LZ4", True, _lz4, _of_lz4),
    "mask": Coding("sparsity mask and the other values", True, _mask, _of_mask),
    "difference": Coding(
        "difference to the frame before, bit-shuffled + LZ4",
        True, _difference, _planes, of_difference=True,
    ),
    "u8": Coding("256 levels, lossy", False, _u8, _of_u8, WIDE),
    "u4": Coding("16 levels, lossy", False, _u4, _of_u4, ("int8", "uint8", *WIDE)),
}  # fmt: skip
LOSSLESS = tuple(name for name, coding in CODINGS.items() if coding.lossless)
