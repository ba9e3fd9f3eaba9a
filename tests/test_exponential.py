"""exp of float32: the C library's bits, and the nearest float32 nearly always."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from decimal import Decimal, localcontext

import numpy as np
import pytest

from midge.kernels import exponential

STEP = 10_007  # of the floats' bits: 2**32 / STEP floats are tried


def test_table_holds_the_nearest_doubles():
    with localcontext() as context:
        context.prec = 60
        wanted = [float(Decimal(2) ** (Decimal(i) / 32)) for i in range(32)]
    np.testing.assert_array_equal(exponential.power_table(), wanted)


def test_special_values():
    x = np.array([0.0, -0.0, np.inf, -np.inf, 89.0, -104.0, 3e38, -3e38], np.float32)
    wanted = np.array([1, 1, np.inf, 0, np.inf, 0, np.inf, 0], np.float32)
    np.testing.assert_array_equal(exponential.exp(x), wanted)
    assert np.isnan(exponential.exp(np.array([np.nan], np.float32)))[0]


def test_close_to_the_real_exponential():
    x = np.linspace(-80, 80, 200_001).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    error = np.abs(exponential.exp(x) - exact) / np.spacing(exact.astype(np.float32))
    assert error.max() < 0.503  # of a unit in the last place


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="compares with glibc's expf, which isn't here"
)
def test_same_bits_as_glibc():
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    library.expf.restype, library.expf.argtypes = ctypes.c_float, [ctypes.c_float]
    x = np.arange(0, 1 << 32, STEP, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.abs(x) < 110]
    wanted = np.array([library.expf(value) for value in x.tolist()], np.float32)
    np.testing.assert_array_equal(exponential.exp(x).view(np.int32), wanted.view(np.int32))
