"""Models with a WHILE, whose turns are known beforehand or not."""

from __future__ import annotations

import numpy as np
from build_general import INT, B, F, ints
from tflite_writer import ModelBuilder


def loop(passes: int = 3, step: int = 1, computed: bool = False) -> bytes:
    """WHILE: for i = 0, `step`, ... under `passes` or an input, x is x * y + table[i]; y stays."""
    model = ModelBuilder()
    x, y = model.tensor((3, 4), F), model.tensor((3, 4), F)
    most = model.tensor((1,), INT) if computed else model.constant(ints(passes), INT)
    ends = [((1,), INT), ((3, 4), F), ((3, 4), F), ((1,), INT)]
    part = ModelBuilder()
    i, _, _, limit = given = [part.tensor(*end) for end in ends]
    goes_on = part.tensor((1,), B)
    part.node("LESS", [i, limit], [goes_on])
    condition = model.part(part, given, [goes_on])
    part = ModelBuilder()
    i, a, b, limit = given = [part.tensor(*end) for end in ends]
    later, scaled, moved = part.tensor((1,), INT), part.tensor((3, 4), F), part.tensor((3, 4), F)
    row, table = (
        part.tensor((1, 4), F),
        part.constant(np.arange(32, dtype=np.float32).reshape(8, 4), F),
    )
    part.node("GATHER", [table, i], [row], options_type="GatherOptions", axis=0)
    part.node("MUL", [a, b], [scaled])
    part.node("ADD", [scaled, row], [moved])
    part.node("ADD", [i, part.constant(ints(step), INT)], [later])
    body = model.part(part, given, [later, moved, b, limit])
    made = [model.tensor(*end) for end in ends]
    model.node(
        "WHILE", [model.constant(ints(0), INT), x, y, most], made, options_type="WhileOptions",
        cond_subgraph_index=condition, body_subgraph_index=body,
    )  # fmt: skip
    return model.build([x, y, most] if computed else [x, y], made[1:3])


def shrinking(dtype: str = "float32", shape: tuple[int, ...] = (2, 5)) -> bytes:
    """WHILE: until the greatest x is small, x becomes 0.65 x and y its sum with that; a label
    stays, and the first turn sets a flag. Images take the greatest of their neighbours, too."""
    quantized = () if dtype == F else (0.05, 0)
    named = dict(zip(("scale", "zero_point"), quantized))
    model, ends = ModelBuilder(), [(shape, dtype, *quantized)] * 2 + [((1,), INT)] * 2
    part = ModelBuilder()
    x, *_ = given = [part.tensor(*end) for end in ends]
    most, goes_on = part.tensor((), dtype, *quantized), part.tensor((), B)
    axes = part.constant(ints(*range(len(shape))), INT)
    part.node("REDUCE_MAX", [x, axes], [most], options_type="ReducerOptions", keep_dims=False)
    small = np.array(20 if quantized else 0.3)
    part.node("GREATER", [most, part.constant(small, dtype, **named)], [goes_on])
    condition = model.part(part, given, [goes_on])
    part = ModelBuilder()
    x, y, label, _ = given = [part.tensor(*end) for end in ends]
    less, total = part.tensor(*ends[0]), part.tensor(*ends[0])
    if quantized:
        factor = part.constant(np.array([100]), dtype, scale=0.0065)
    else:
        factor = part.constant(np.array([0.65]), F)
    part.node("MUL", [x, factor], [less])
    if len(shape) == 4:
        window = {"filter_width": 3, "filter_height": 2, "stride_w": 1, "stride_h": 1}
        pooled = part.tensor(*ends[0])
        part.node("MAX_POOL_2D", [less], [pooled], options_type="Pool2DOptions", **window)
        less = pooled
    part.node("ADD", [y, less], [total])
    body = model.part(part, given, [less, total, label, part.constant(ints(7), INT)])
    x, y, label = (model.tensor(*end) for end in ends[:3])
    made = [model.tensor(*end) for end in ends]
    model.node(
        "WHILE", [x, y, label, model.constant(ints(0), INT)], made, options_type="WhileOptions",
        cond_subgraph_index=condition, body_subgraph_index=body,
    )  # fmt: skip
    return model.build([x, y, label], made)


def stepping() -> bytes:
    """WHILE: a number counts up to the input."""
    model, ends = ModelBuilder(), [((1,), INT)] * 2
    part = ModelBuilder()
    given, goes_on = [part.tensor(*end) for end in ends], part.tensor((1,), B)
    part.node("LESS", given, [goes_on])
    condition = model.part(part, given, [goes_on])
    part = ModelBuilder()
    (i, most), later = (given := [part.tensor(*end) for end in ends]), part.tensor((1,), INT)
    part.node("ADD", [i, part.constant(ints(1), INT)], [later])
    body = model.part(part, given, [later, most])
    most, made = model.tensor((1,), INT), [model.tensor(*end) for end in ends]
    model.node(
        "WHILE", [model.constant(ints(0), INT), most], made, options_type="WhileOptions",
        cond_subgraph_index=condition, body_subgraph_index=body,
    )  # fmt: skip
    return model.build([most], made[:1])


def counted(rounds: int = 4) -> bytes:
    """WHILE in WHILE: i counts to an input modulo `rounds`, j to i, and x becomes x * 0.5 + j."""
    model, ends = ModelBuilder(), [((1,), INT), ((1,), INT), ((2, 3), F)]

    def condition() -> int:
        part = ModelBuilder()
        given, goes_on = [part.tensor(*end) for end in ends], part.tensor((1,), B)
        part.node("LESS", given[:2], [goes_on])
        return model.part(part, given, [goes_on])

    def turns(part: ModelBuilder, given: list[int], body: int) -> list[int]:
        made = [part.tensor(*end) for end in ends]
        part.node(
            "WHILE", given, made, options_type="WhileOptions", cond_subgraph_index=condition(),
            body_subgraph_index=body,
        )  # fmt: skip
        return made

    def counted_up(part: ModelBuilder, number: int) -> int:
        later = part.tensor((1,), INT)
        part.node("ADD", [number, part.constant(ints(1), INT)], [later])
        return later

    part = ModelBuilder()
    j, i, x = given = [part.tensor(*end) for end in ends]
    half, moved, number = (part.tensor((2, 3), F), part.tensor((2, 3), F), part.tensor((1,), F))
    part.node("MUL", [x, part.constant(np.array([0.5]), F)], [half])
    part.node("CAST", [j], [number], options_type="CastOptions")
    part.node("ADD", [half, number], [moved])
    inner = model.part(part, given, [counted_up(part, j), i, moved])
    part = ModelBuilder()
    i, most, x = given = [part.tensor(*end) for end in ends]
    *_, made = turns(part, [part.constant(ints(0), INT), i, x], inner)
    outer = model.part(part, given, [counted_up(part, i), most, made])
    number, x, most = model.tensor((1,), INT), model.tensor((2, 3), F), model.tensor((1,), INT)
    model.node("FLOOR_MOD", [number, model.constant(ints(rounds), INT)], [most])
    *_, made = turns(model, [model.constant(ints(0), INT), most, x], outer)
    return model.build([number, x], [made])
