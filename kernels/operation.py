"""What a kernel module says about its operator, and how its parameter words are laid out.

`kernels/<operator>.py` holds an operator's NumPy reference, its constraints and its lowering;
`kernels/native/<operator>.py` the Numba twins; `targets/cortex_m/csrc/<operator>.c` the C twins.
All three address a kernel's parameter words by the names of one `Layout`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..runtime.graph import Graph, Node
from ..runtime.lowering import TENSOR, Field, Lowered

# A constraint answers whether a node keeps it. Its docstring is the sentence shown to the user,
# and the row of the table of supported operators.
Constraint = Callable[[Graph, Node], bool]
Reference = Callable[[Graph, Node, Sequence[np.ndarray | None]], list[np.ndarray]]


@dataclass(frozen=True)
class Layout:
    """The int32 parameter words of a native kernel, by name, in order.

    The native signature is `kernel(int8* arena, int8* constants, int32* words)`. In C the words are
    a struct `midge_<kernel>_params` with these fields.
    """

    kernel: str
    fields: tuple[str, ...]

    @property
    def index(self) -> Any:
        """A named tuple: field name -> position. Numba folds `p[P.rows]` to a constant index."""
        return namedtuple(f"{self.kernel}_words", self.fields)(*range(len(self.fields)))

    def lowered(self, granularity: str = TENSOR, /, **fields: Field) -> Lowered:
        """A `Lowered` for this kernel; every field must be given, and no other."""
        if fields.keys() != set(self.fields):
            wrong = sorted(fields.keys() ^ set(self.fields))
            raise ValueError(f"{self.kernel}: fields missing or unknown: {', '.join(wrong)}")
        ordered = {name: fields[name] for name in self.fields}
        return Lowered(self.kernel, ordered, granularity)


def layout(kernel: str, fields: str) -> Layout:
    """`layout("add_s8", "rows count a b y")`."""
    return Layout(kernel, tuple(fields.split()))


@dataclass(frozen=True)
class Operation:
    """All that the kernels' room knows of one operator."""

    reference: Reference  # (graph, node, input arrays or None) -> output arrays
    lower: Callable[[Graph, Node], Lowered]
    layouts: tuple[Layout, ...]
    constraints: tuple[Constraint, ...] = ()
