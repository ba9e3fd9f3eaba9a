"""Functions of float32 by series in float64: the nearest numbers, by NumPy and natively."""

from __future__ import annotations

from collections.abc import Callable

import build_general as g
import numpy as np
import pytest

from midge.kernels import transcendental as t
from midge.runtime.backend import find_backend
from midge.runtime.pipeline import compile_model

FUNCTIONS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "log": (t.log, np.log),
    "sin": (t.sin, np.sin),
    "cos": (t.cos, np.cos),
    "tanh": (t.tanh, np.tanh),
    "elu": (lambda x: np.where(x > 0, x, t.expm1(np.minimum(x, 0))), np.expm1),
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 1.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 0.78]


def arguments(name: str) -> np.ndarray:
    """Every kind of number: all exponents alike, those near 0, and the special ones."""
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 1 << 32, 20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = rng.normal(size=20_000) * 10
    x = np.concatenate([bits[np.isfinite(bits)], usual, SPECIAL]).astype(np.float32)
    return np.abs(x) if name == "log" else x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_answers_are_the_nearest_floats(name: str) -> None:
    ours, wide = FUNCTIONS[name]
    x = arguments(name)
    with np.errstate(all="ignore"):
        nearest = wide(x.astype(np.float64)).astype(np.float32)
        if name == "elu":
            nearest = np.where(x > 0, x, nearest)
        np.testing.assert_array_equal(ours(x).astype(np.float32), nearest)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_native_answers_have_the_same_bits(name: str) -> None:
    x = np.concatenate([arguments(name), -np.abs(arguments(name)[:99])])
    model = g.general(name.upper(), [(x.shape, g.F)], (x.shape, g.F))
    reference, host = (
        find_backend(target).build(compile_model(model, target)).run([x])[0]
        for target in ("reference", "host")
    )
    np.testing.assert_array_equal(reference, host)
    numbers = ~np.isnan(reference)
    np.testing.assert_array_equal(
        reference.view(np.int32)[numbers], host.view(np.int32)[numbers], "signs of zeros"
    )
