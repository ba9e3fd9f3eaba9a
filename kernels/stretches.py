"""Which items of a program are native, and which the host hands to the NumPy reference."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.lowering import NUMPY_CALL
from ..runtime.program import Call, Loop


def is_in_numpy(item: Call | Loop) -> bool:
    return isinstance(item, Call) and item.kernel == NUMPY_CALL


def stretches(items: Sequence[Call | Loop]) -> list[tuple[int, int]]:
    """(first, end) of runs of native items, and of each single item that runs in NumPy."""
    found: list[tuple[int, int]] = []
    for number, item in enumerate(items):
        alone = is_in_numpy(item)
        if found and not alone and not is_in_numpy(items[found[-1][0]]):
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
