"""Kernels with scratch and without: no byte for speed unless it is there, or granted."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as b
import numpy as np
import pytest
from guarded import guard
from hypothesis import given, settings
from hypothesis import strategies as st
from native_call import run_native
from one_operator import operands, read_operator
from oracle import random_inputs
from random_networks import networks
from test_segments import PROPERTY, assert_reference, inputs_of, planner

from midge.kernels import table
from midge.kernels.vector import table as vector
from midge.runtime.backend import find_backend
from midge.runtime.errors import PlanError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.planner import Planner
from midge.runtime.program import Program
from midge.runtime.replay import replay
from midge.runtime.room import a_few, frugal, none, scratch_bytes


def least_bytes(found: Planner, strategy: str) -> int:
    """Of the same plan with frugal kernels alone."""
    return replace(found, lowered=frugal(found.lowered)).plan(strategy).arena_bytes


def frugal_kernels(program: Program) -> set[str]:
    return {call.kernel for call in program.calls() if "direct" in call.kernel}


@settings(max_examples=40, **PROPERTY)
@given(networks(), st.sampled_from(["layers", "rows"]))
def test_scratch_takes_what_is_free(model: bytes, strategy: str) -> None:
    found = planner(model, "cortex-m4", alignment=4)
    least = least_bytes(found, strategy)
    assert replace(found, spare=none).plan(strategy).arena_bytes == least
    for room in (1, None, 1 << 20):
        program = replace(found, room=room).plan(strategy)
        replay(program, found.lowered)
        limit = {1: least, None: least + a_few(least), 1 << 20: 1 << 20}[room]
        assert least <= program.arena_bytes <= limit
        if room == 1 << 20:
            assert not frugal_kernels(program)


def test_a_kernel_with_scratch_is_taken_where_it_fits() -> None:
    model = b.conv2d((1, 8, 8, 16), kernel=(3, 3), filters=16, padding="SAME")
    roomy = compile_model(model, "cortex-m4", Options(strategy="layers"))
    assert not frugal_kernels(roomy)
    least = least_bytes(planner(model, "cortex-m4", alignment=4), "layers")
    tight = compile_model(model, "cortex-m4", Options(ram=least, strategy="layers"))
    assert frugal_kernels(tight) == {"conv2d_direct_s8"}
    assert tight.arena_bytes == least < roomy.arena_bytes <= least + a_few(least)
    with pytest.raises(PlanError, match=f"needs {tight.arena_bytes:,} bytes layer by layer"):
        compile_model(model, "cortex-m4", Options(ram=tight.arena_bytes - 1, strategy="layers"))


@settings(max_examples=30, **PROPERTY)
@given(networks(), st.sampled_from([Options(frugal=True), Options(input_by_row=True)]))
def test_the_host_has_the_same_bits_with_little_room(model: bytes, options: Options) -> None:
    options = replace(options, strategy="rows")
    program = compile_model(model, "host", options)
    replay(program, lower_nodes(program.graph, find_backend("host")))
    executor = find_backend("host").build(program)
    arena = guard(executor)
    assert_reference(executor.run(inputs_of(program)), model)
    arena.check()


def test_vector_kernels_in_short_runs() -> None:
    """Each step of the choice is taken for some room, and has the same bits."""
    model = b.conv2d((1, 6, 40, 24), kernel=(3, 3), filters=16, padding="SAME")
    graph, node = read_operator(model)
    arrays = operands(graph, node, random_inputs(model, 0))
    wanted = table.OPERATIONS[node.op].reference(graph, node, arrays)
    choices = vector.lower(graph, node).choices
    assert len(choices) == 3
    sizes = [scratch_bytes(call) for call in choices]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == 0
    for number in range(3):
        found = run_native(
            graph, node, arrays, lower=lambda g, n, i=number: vector.lower(g, n).choices[i]
        )
        np.testing.assert_array_equal(found[0], wanted[0])
