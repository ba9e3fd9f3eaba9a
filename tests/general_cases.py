"""Cases of operators on numbers of any rank and type: name, and what makes the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import build_general as g
import numpy as np

Line = tuple[str, Callable[[], bytes]]


def case(name: str, make: Callable[..., bytes], **arguments: object) -> Line:
    return name, partial(make, **arguments)


# Those with a kernel of their own.
NATIVE: list[Line] = [
    case("tile", g.general, op="TILE", operands=[((2, 3), g.F), g.ints(2, 3)],
         outputs=((4, 9), g.F)),
    case("broadcast_to", g.general, op="BROADCAST_TO", version=2,
         operands=[((3, 1), g.F), g.ints(2, 3, 4)], outputs=((2, 3, 4), g.F)),
    case("pack", g.general, op="PACK", operands=[((2, 3), *g.Q)] * 3, outputs=((2, 3, 3), *g.Q),
         version=2, options="PackOptions", values_count=3, axis=1),
    case("unpack", g.unpack),
    case("depth_to_space", g.general, op="DEPTH_TO_SPACE", operands=[((2, 3, 2, 8), *g.Q)],
         outputs=((2, 6, 4, 2), *g.Q), options="DepthToSpaceOptions", block_size=2),
    case("space_to_depth", g.general, op="SPACE_TO_DEPTH", operands=[((2, 4, 6, 3), *g.Q)],
         version=2, outputs=((2, 2, 3, 12), *g.Q), options="SpaceToDepthOptions", block_size=2),
    case("space_to_batch_nd", g.general, op="SPACE_TO_BATCH_ND", version=2,
         operands=[((1, 5, 6, 3), *g.Q), g.ints(2, 3), g.ints([1, 0], [1, 2])],
         outputs=((6, 3, 3, 3), *g.Q)),
    case("batch_to_space_nd", g.general, op="BATCH_TO_SPACE_ND", version=2,
         operands=[((6, 3, 3, 2), *g.Q), g.ints(2, 3), g.ints([1, 0], [1, 2])],
         outputs=((1, 5, 6, 2), *g.Q)),
    *(case(f"mirror_pad_{name}", g.general, op="MIRROR_PAD",
           operands=[((3, 4, 5), *g.Q), g.ints([1, 2], [0, 3], [2, 0])],
           outputs=((6, 7, 7), *g.Q), options="MirrorPadOptions", mode=mode)
      for mode, name in enumerate(("reflect", "symmetric"))),
    case("reverse_v2", g.general, op="REVERSE_V2", operands=[((2, 3, 4), g.F), g.ints(1)],
         outputs=((2, 3, 4), g.F)),
]  # fmt: skip

# What the host hands to NumPy, and other targets refuse.
IN_NUMPY: list[Line] = [
    *(case(op.lower(), g.one, op=op) for op in (
        "ABS", "EXP", "FLOOR", "NEG", "RSQRT", "SQRT", "SQUARE",
    )),
    case("logical_not", g.one, op="LOGICAL_NOT", dtype="bool"),
    *(case(op.lower(), g.two, op=op) for op in (
        "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE",
    )),
    case("prelu", g.general, op="PRELU",
         operands=[((2, 4, 3, 5), g.F), np.linspace(-1, 1, 5, dtype=np.float32)[None, None]],
         outputs=((2, 4, 3, 5), g.F)),
    *(case(f"{op.lower()}_int32", g.two, op=op, dtype="int32") for op in (
        "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE",
    )),
    *(case(op.lower(), g.two, op=op, answer="bool") for op in (
        "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL",
    )),
    *(case(op.lower(), g.two, op=op, dtype="bool") for op in ("LOGICAL_AND", "LOGICAL_OR")),
    case("maximum_int8", g.general, op="MAXIMUM", version=2,
         operands=[((2, 3, 4), *g.Q), ((2, 3, 4), *g.Q)], outputs=((2, 3, 4), *g.Q)),
    case("select_v2", g.general, op="SELECT_V2",
         operands=[((2, 1, 4), g.B), ((2, 3, 4), g.F), ((3, 1), g.F)], outputs=((2, 3, 4), g.F)),
    case("cast_to_int32", g.general, op="CAST", operands=[((3, 5), g.F)], outputs=((3, 5), g.INT)),
    case("cast_to_float", g.general, op="CAST", operands=[((3, 5), g.INT)], outputs=((3, 5), g.F)),
    *(case(op.lower(), g.reduced, op=op) for op in (
        "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD",
    )),
    case("sum_keep", g.reduced, op="SUM", axes=(0, 2), keep=True),
    *(case(op.lower(), g.reduced, op=op, dtype="bool") for op in ("REDUCE_ALL", "REDUCE_ANY")),
    *(case(op.lower(), g.general, op=op, operands=[((3, 4, 7), g.F), g.ints(1)],
           outputs=((3, 7), g.INT), options=f"{op.title().replace('_', '')}Options", output_type=2)
      for op in ("ARG_MAX", "ARG_MIN")),
    case("arg_max_int8", g.general, op="ARG_MAX", operands=[((3, 9), *g.Q), g.ints(-1)],
         outputs=((3,), g.INT), options="ArgMaxOptions", output_type=2),
    case("batch_matmul", g.general, op="BATCH_MATMUL",
         operands=[((2, 1, 3, 7), g.F), ((4, 7, 5), g.F)], outputs=((2, 4, 3, 5), g.F),
         options="BatchMatMulOptions", adj_x=False, adj_y=False),
    case("batch_matmul_turned", g.general, op="BATCH_MATMUL",
         operands=[((2, 7, 3), g.F), ((2, 5, 7), g.F)], outputs=((2, 3, 5), g.F),
         options="BatchMatMulOptions", adj_x=True, adj_y=True),
    case("gather", g.general, op="GATHER",
         operands=[((3, 6, 2), *g.Q), g.ints([5, 0], [2, 2])], outputs=((3, 2, 2, 2), *g.Q),
         options="GatherOptions", axis=1),
    case("gather_nd", g.general, op="GATHER_ND",
         operands=[((3, 6, 2), g.F), g.ints([2, 5], [0, 1])], outputs=((2, 2), g.F)),
]  # fmt: skip
