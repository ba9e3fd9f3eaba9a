"""Kernels with scratch and without: no byte for speed unless it is there, or granted."""

from __future__ import annotations

from dataclasses import replace

import build_tflite as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks
from test_segments import PROPERTY, planner

from midge.runtime.errors import PlanError
from midge.runtime.pipeline import Options, compile_model
from midge.runtime.planner import SPARE, Planner
from midge.runtime.program import Program
from midge.runtime.replay import replay
from midge.runtime.room import frugal


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
    for room in (1, None, 1 << 20):
        program = replace(found, room=room).plan(strategy)
        replay(program, found.lowered)
        limit = {1: least, None: least + SPARE, 1 << 20: 1 << 20}[room]
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
    assert tight.arena_bytes == least < roomy.arena_bytes <= least + SPARE
    with pytest.raises(PlanError, match=f"needs {tight.arena_bytes:,} bytes layer by layer"):
        compile_model(model, "cortex-m4", Options(ram=tight.arena_bytes - 1, strategy="layers"))
