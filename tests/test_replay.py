"""The replay on tagged memory finds plans that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from seeded_model import SeededModel
from test_stream import two_convolutions

from midge.runtime.assemble import assemble
from midge.runtime.backend import find_backend
from midge.runtime.errors import PlanError
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.options import Options
from midge.runtime.pipeline import lower_nodes, rewrite
from midge.runtime.program import Call, Program
from midge.runtime.replay import replay
from midge.runtime.schedule import Schedule, stream_rows


def pooled() -> bytes:
    """A convolution and a global pool: sums are kept from row to row."""
    model = SeededModel("int8", 0)
    x, hidden = model.activation((1, 9, 4, 3)), model.activation((1, 9, 4, 8), 0.4)
    y = model.activation((1, 1, 1, 8), 0.4)
    weights, scales = model.weights((8, 3, 3, 3), 0, True)
    model.node("CONV_2D", [x, weights, model.bias(8, scales, 27)], [hidden], padding="SAME",
               stride_h=1, stride_w=1)  # fmt: skip
    model.node("AVERAGE_POOL_2D", [hidden], [y], padding="VALID", stride_h=1, stride_w=1,
               filter_height=9, filter_width=4)  # fmt: skip
    return model.build([x], [y])


def growing() -> bytes:
    """A convolution to many channels, and a logistic function in place."""
    model = SeededModel("int8", 0)
    x, hidden = model.activation((1, 6, 4, 2)), model.activation((1, 6, 4, 8), 0.4)
    y = model.activation((1, 6, 4, 8), 1 / 256, -128)
    weights, scales = model.weights((8, 1, 1, 2), 0, True)
    model.node("CONV_2D", [x, weights, model.bias(8, scales, 2)], [hidden], padding="SAME",
               stride_h=1, stride_w=1)  # fmt: skip
    model.node("LOGISTIC", [hidden], [y])
    return model.build([x], [y])


def planned(
    model: bytes, change: Callable[[Schedule], Schedule] = lambda schedule: schedule
) -> tuple[Program, dict]:
    """The model's two nodes streamed, by a schedule that is changed on its way."""
    graph, backend = rewrite(read_tflite(model), Options()), find_backend("cortex-m4")
    lowered = lower_nodes(graph, backend)
    schedule = change(stream_rows(graph, lowered, [(0, 1)]))
    return assemble(graph, lowered, schedule, "cortex-m4", 1), lowered


@pytest.mark.parametrize("model", [two_convolutions(), pooled()], ids=["convolutions", "pool"])
def test_right_plans_pass(model: bytes) -> None:
    assert replay(*planned(model)) > 0


def test_a_ring_of_too_few_rows_is_found() -> None:
    def shrink(schedule: Schedule) -> Schedule:
        return replace(schedule, rings={t: n - 1 for t, n in schedule.rings.items()})

    with pytest.raises(PlanError, match=r"the plan is wrong: bytes \d+ to \d+ of tensor \d+ \("):
        replay(*planned(two_convolutions(), shrink))


def test_an_output_too_near_its_input_is_found() -> None:
    def nearer(schedule: Schedule) -> Schedule:
        return replace(schedule, distances={k: d - 40 for k, d in schedule.distances.items()})

    assert replay(*planned(growing())) > 0
    with pytest.raises(PlanError, match="are not in the arena"):
        replay(*planned(growing(), nearer))


def moved(program: Program, field: str, by: int) -> Program:
    """With one word of every call moved, where the call has it."""

    def move(call: Call) -> Call:
        words = {name: v + by * (name == field) for name, v in call.args.items()}
        return replace(call, args=words)

    items = [
        move(item) if isinstance(item, Call) else replace(item, body=tuple(map(move, item.body)))
        for item in program.items
    ]
    return replace(program, items=tuple(items))


def test_sums_over_other_data_are_found() -> None:
    program, lowered = planned(pooled())
    ring = next(b for b in program.buffers if b.kind == "activation")
    sums = next(b for b in program.buffers if b.name.startswith("sums"))
    with pytest.raises(PlanError, match="overwritten"):
        replay(moved(program, "sums", ring.offset - sums.offset), lowered)


@pytest.mark.parametrize("field", ["columns", "sums"])
def test_what_lies_outside_the_arena_is_found(field: str) -> None:
    program, lowered = planned(pooled())
    with pytest.raises(PlanError, match=r"outside the arena of \d+ bytes"):
        replay(moved(program, field, program.arena_bytes), lowered)


def test_a_row_written_over_an_unread_one_is_found() -> None:
    model = SeededModel("int8", 0)
    x, y = model.activation((1, 4, 4, 2)), model.activation((1, 4, 4, 2))
    model.node("LOGISTIC", [x], [y])
    graph, backend = rewrite(read_tflite(model.build([x], [y])), Options()), find_backend("host")
    lowered = lower_nodes(graph, backend)
    program = assemble(graph, lowered, stream_rows(graph, lowered, []), "host", 1)
    assert replay(program, lowered) > 0
    table = np.frombuffer(program.constants, "<i4").copy()
    call = program.items[0]
    assert isinstance(call, Call)
    tables = [slice(call.args[name] // 4, call.args[name] // 4 + 4) for name in ("x", "y")]
    assert np.array_equal(table[tables[0]], table[tables[1]])
    apart = replace(call, args={**call.args, "y": 4 * len(table)})
    constants = np.concatenate([table, table[tables[1]] + 1]).tobytes()
    wrong = replace(program, items=(apart,), constants=constants, arena_bytes=64)
    with pytest.raises(PlanError, match="before that is read"):
        replay(wrong, lowered)
