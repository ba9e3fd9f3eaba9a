"""Random geometry of functions of one number or two, of choices and of running sums."""

from __future__ import annotations

from typing import Any

import build_general as g
import numpy as np
from draw_compute import same, unary
from drawing import Draws, Sweep

SIMPLE = ("int8", "uint8", "int16", "float32", "int32")
ANY = (*SIMPLE, "int64", "bool")


def two(op: str, version: int = 1, answer: str | None = None, equal: bool = False) -> Any:
    """A function of two numbers; `equal` where all must have one scale."""

    def draw(d: Draws, dtype: str) -> bytes:
        shapes = d.broadcast()
        a, b, y = (d.numbers(dtype) for _ in range(3))
        if equal:
            b = y = a
        if op in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
            d.limits = {"int32": (1, 999), "int64": (1, 999), "float32": (0.5, 60.0)}
        if (op, dtype) == ("DIV", "int8"):
            b, y = _divisor_and_quotient(d, a[1])
        if op == "POW":
            d.limits = {"float32": (0.1, 5.0), "int32": (0, 5)}
        made = (np.broadcast_shapes(*shapes), *((answer,) if answer else y))
        operands = [(shapes[0], *a), (shapes[1], *b)]
        return g.general(op, operands, made, version=version)

    return draw


def _divisor_and_quotient(d: Draws, scale: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Of a divisor that is never 0, and steps so fine that no quotient is shifted by 32 bits or
    more: C leaves TFLM's answers to the processor there."""
    zero = d.one_of(-128, 127)
    d.limits = {"int8": (-127, 127) if zero == -128 else (-128, 126)}
    divisor = d.scale()
    return ("int8", divisor, zero), ("int8", scale / divisor / d.scale(65, 300), d.zero("int8"))


def select(d: Draws, dtype: str) -> bytes:
    shapes, numbers = d.broadcast(count=3), d.numbers(dtype)
    operands = [(shapes[0], g.B), *((shape, *numbers) for shape in shapes[1:])]
    return g.general("SELECT_V2", operands, (np.broadcast_shapes(*shapes), *numbers))


def cast(d: Draws, dtype: str) -> bytes:
    """To `dtype` of any; floats stay where C says what they become."""
    source, shape = d.one_of(*ANY), d.shape()
    small = {"int8": (-120, 120), "uint8": (0, 120), "int16": (-30000, 30000), "uint32": (0, 1e6)}
    d.limits = {"float32": small.get(dtype, (-1e6, 1e6))}
    return g.general("CAST", [(shape, source)], (shape, dtype))


def add_n(d: Draws, dtype: str) -> bytes:
    shape, count = d.shape(), d.between(2, 5)
    return g.general("ADD_N", [(shape, *d.numbers(dtype))] * count, (shape, *d.numbers(dtype)))


def cumsum(d: Draws, dtype: str) -> bytes:
    shape = d.shape()
    axis = g.ints(d.axis(d.between(0, len(shape) - 1), len(shape)))[0]
    d.limits = {"int32": (-999, 999), "int64": (-999, 999)}
    return g.general(
        "CUMSUM", [(shape, *d.numbers(dtype)), np.array([axis], np.int32)],
        (shape, *d.numbers(dtype)),
        options="CumsumOptions", exclusive=d.flag(), reverse=d.flag(),
    )  # fmt: skip


NUMBERS = ("float32", "int32")
COMPARED = ("float32", "int32", "int64", "int8", "uint8")
GENERAL = {
    "ABS": Sweep(unary("ABS", 3), ("int8", "int16", "float32")),
    "EXP": Sweep(unary("EXP", 2), ("int8", "float32")),
    "RSQRT": Sweep(
        unary("RSQRT", 2), ("int8", "int16", "float32"), apart=("int8",), by_tflm=("int16",)
    ),
    "CEIL": Sweep(same("CEIL"), ("float32",), apart=("float32",)),
    "COS": Sweep(same("COS"), ("float32",), near=1),
    "FLOOR": Sweep(same("FLOOR"), ("float32",)),
    "LOG": Sweep(same("LOG"), ("float32",), near=1),
    "LOGICAL_NOT": Sweep(same("LOGICAL_NOT"), ("bool",)),
    "NEG": Sweep(same("NEG"), ("float32", "int32", "int64")),
    "ROUND": Sweep(same("ROUND"), ("float32",), apart=("float32",)),
    "SIN": Sweep(same("SIN"), ("float32",), near=1),
    "SQRT": Sweep(same("SQRT"), ("float32",)),
    "SQUARE": Sweep(same("SQUARE"), ("float32",)),
    "DIV": Sweep(two("DIV"), (*NUMBERS, "int8"), by_tflm=("int8",)),
    "FLOOR_DIV": Sweep(two("FLOOR_DIV", 3), NUMBERS),
    "FLOOR_MOD": Sweep(two("FLOOR_MOD", 2), (*NUMBERS, "int64")),
    "POW": Sweep(two("POW"), NUMBERS, near=2),
    "SQUARED_DIFFERENCE": Sweep(
        two("SQUARED_DIFFERENCE", 2), (*NUMBERS, "int8", "int16"), by_tflm=("int16",)
    ),
    "MAXIMUM": Sweep(two("MAXIMUM", 3, equal=True), (*SIMPLE, "int64")),
    "MINIMUM": Sweep(two("MINIMUM", 3, equal=True), (*SIMPLE, "int64")),
    "EQUAL": Sweep(two("EQUAL", 2, "bool"), (*COMPARED, "bool")),
    "NOT_EQUAL": Sweep(two("NOT_EQUAL", 2, "bool"), (*COMPARED, "bool")),
    "GREATER": Sweep(two("GREATER", 2, "bool"), COMPARED),
    "GREATER_EQUAL": Sweep(two("GREATER_EQUAL", 2, "bool"), COMPARED),
    "LESS": Sweep(two("LESS", 2, "bool"), COMPARED),
    "LESS_EQUAL": Sweep(two("LESS_EQUAL", 2, "bool"), COMPARED),
    "LOGICAL_AND": Sweep(two("LOGICAL_AND"), ("bool",)),
    "LOGICAL_OR": Sweep(two("LOGICAL_OR"), ("bool",)),
    "SELECT_V2": Sweep(select, ANY),
    "CAST": Sweep(cast, (*ANY, "uint32")),
    "ADD_N": Sweep(add_n, (*NUMBERS, "int8"), by_tflm=("int8",)),
    "CUMSUM": Sweep(cumsum, (*NUMBERS, "int8"), apart=NUMBERS, by_tflm=("int8",)),
}
