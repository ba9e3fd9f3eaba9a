"""Packing of binary tensors, and the numbers that their planes stand for.

The convention is that of `graph.BINARY`: channel c is bit c % 32 of word c // 32, bit 1 is
-1 and bit 0 is +1, bits beyond the last channel are 0. A pixel's planes stand one after the other,
each in whole words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .graph import WORD_BITS
from .shapes import words_of


def pack(bits: np.ndarray) -> NDArray[np.int32]:
    """[..., channels] truth values to [..., words] int32."""
    channels = bits.shape[-1]
    room = np.zeros((*bits.shape[:-1], words_of(channels) * WORD_BITS), bool)
    room[..., :channels] = bits
    packed = np.packbits(room, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4").astype(np.uint32).view(np.int32)


def unpack(words: np.ndarray, channels: int) -> NDArray[np.bool_]:
    """[..., words] int32 to [..., channels] truth values."""
    octets = np.ascontiguousarray(words).astype("<i4").view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=channels, bitorder="little").astype(bool)


def pack_planes(planes: Sequence[np.ndarray]) -> NDArray[np.int32]:
    """Planes of [..., channels] truth values side by side in a pixel's words."""
    return np.concatenate([pack(plane) for plane in planes], axis=-1)


def values(
    words: np.ndarray, channels: int, coefficients: Sequence[int], plain: bool
) -> NDArray[np.float64]:
    """[..., planes * words] to the [..., channels] numbers that the planes stand for."""
    total = np.zeros((*words.shape[:-1], channels))
    for coefficient, plane in zip(
        coefficients, np.split(words, len(coefficients), axis=-1), strict=True
    ):
        bits = unpack(plane, channels)
        total += coefficient * (bits if plain else np.where(bits, -1.0, 1.0))
    return total


def two_complement(bits: int) -> tuple[int, ...]:
    """The coefficients of the planes of a signed number."""
    return (*(1 << i for i in range(bits - 1)), -(1 << (bits - 1)))


def unsigned(bits: int) -> tuple[int, ...]:
    """The coefficients of the planes of a number that is never negative."""
    return tuple(1 << i for i in range(bits))


def integer_planes(numbers: np.ndarray, bits: int) -> NDArray[np.int32]:
    """[..., channels] integers as `bits` planes of their two's complement."""
    return pack_planes([(numbers.astype(np.int64) >> i) & 1 == 1 for i in range(bits)])
