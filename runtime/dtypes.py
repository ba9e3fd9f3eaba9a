"""The types of tensors' elements, by the names that graphs give them."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

# A binary tensor's elements are words of 32 channels, its last axis counts words: bit c % 32 of
# word c // 32 is channel c, and bits beyond the last channel are 0. Bit 1 is -1 and bit 0 is +1, as
# in Larq's files. Formats that have it the other way are converted where they are read.
BINARY = "binary"
WORD_BITS = 32

DTYPES = MappingProxyType(
    {
        name: np.dtype(name)
        for name in (
            *("int8", "uint8", "int16", "int32", "int64", "float32", "bool"),
            *("uint16", "uint32", "uint64", "float16", "float64"),  # in NumPy only
        )
    }
    | {BINARY: np.dtype("int32")}
)
