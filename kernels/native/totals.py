"""Sums and products that grow number by number: floats round after each, int32 wraps."""

from __future__ import annotations

import numpy as np

from .fixedpoint import inline


@inline
def add(total, value):  # type: ignore[no-untyped-def]
    return total + value


@inline
def times(total, value):  # type: ignore[no-untyped-def]
    return total * value


@inline
def add_s32(total, value):  # type: ignore[no-untyped-def]
    return np.int32(np.int64(total) + np.int64(value))


@inline
def times_s32(total, value):  # type: ignore[no-untyped-def]
    return np.int32(np.int64(total) * np.int64(value))
