"""The decorator that makes a plain Python function a native kernel, and the list of them.

A kernel is a function of `(arena, constants, p)`: two `int8*` and an `int32*` to its parameter
words, named by its `Layout`. It has the C signature `void(int8*, int8*, int32*)`, raises nothing
and allocates nothing. It is found by its function name, which is the layout's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class NativeFunction:
    """A Python function to be compiled, and its arguments' Numba types (None: a kernel's)."""

    python: Callable[..., None]
    arguments: tuple[Any, ...] | None = None


FUNCTIONS: dict[str, NativeFunction] = {}


def kernel(function: Function) -> Function:
    """Register a kernel under its own name; the function itself is left as it is."""
    return _register(function, None)


def native(*arguments: Any) -> Callable[[Function], Function]:
    """Register a native function with other argument types than a kernel's."""
    return lambda function: _register(function, arguments)


def _register(function: Function, arguments: tuple[Any, ...] | None) -> Function:
    known = FUNCTIONS.get(function.__name__)
    if known is not None and known.python.__module__ != function.__module__:
        raise ValueError(
            f"native function {function.__name__} is defined in {known.python.__module__} "
            f"and in {function.__module__}"
        )
    FUNCTIONS[function.__name__] = NativeFunction(function, arguments)
    return function
