"""Squeeze-and-excitation in two passes: same bits, fewer bytes, the arithmetic as stated."""

from __future__ import annotations

import pytest
from c_call import CTwin
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_networks import networks
from seeded_model import SeededModel, Shape
from test_segments import PROPERTY, assert_reference, inputs_of
from test_strips import planner

from midge.runtime.backend import find_backend
from midge.runtime.ops import total_macs
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.program import Program
from midge.runtime.replay import replay
from midge.runtime.two_passes import excitations, in_two_passes
from midge.runtime.verify import verify


class Block(SeededModel):
    """A block as MobileNetV3 has it: wide, depthwise, excited, narrow."""

    def made(self) -> bytes:
        x = self.activation((1, 14, 14, 4))
        wide = self.layer("CONV_2D", x, (1, 14, 14, 32), (32, 1, 1, 4), 4)
        deep = self.layer("DEPTHWISE_CONV_2D", wide, (1, 14, 14, 32), (1, 3, 3, 32), 9)
        mean = self.activation((1, 1, 1, 32), self.sum_scale(9))
        self.node("MEAN", [deep, self.constant([1, 2], "int32")], [mean], keep_dims=True)
        small = self.layer("CONV_2D", mean, (1, 1, 1, 8), (8, 1, 1, 32), 32)
        factor = self.layer("CONV_2D", small, (1, 1, 1, 32), (32, 1, 1, 8), 8)
        product = self.activation((1, 14, 14, 32), self.sum_scale(9))
        self.node("MUL", [deep, factor], [product])
        y = self.layer("CONV_2D", product, (1, 14, 14, 4), (4, 1, 1, 32), 32)
        return self.build([x], [y])

    def layer(self, op: str, x: int, shape: Shape, weights: Shape, taps: int) -> int:
        data, scales = self.weights(weights, 3 if op.startswith("DEPTH") else 0, True)
        y = self.activation(shape, self.sum_scale(taps))
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
        if op.startswith("DEPTH"):
            options["depth_multiplier"] = 1
        self.node(op, [x, data, self.bias(shape[3], scales, taps)], [y], **options)
        return y


def check(program: Program, model: bytes) -> None:
    backend = find_backend(program.target)
    replay(program, lower_nodes(program.graph, backend))
    assert_reference(backend.build(program).run(inputs_of(program)), model)


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
def test_a_wide_tensor_is_made_twice(target: str) -> None:
    model = Block("int8", 0).made()
    kept = compile_model(model, target, Options(strategy="rows"))
    program = compile_model(model, target, Options(strategy="rows", max_extra_macs=0.9))
    assert kept.arena_bytes > 14 * 14 * 32 > program.arena_bytes
    graph = kept.graph
    assert 0 < program.extra_macs <= 0.9 * total_macs(graph)
    assert program.extra_macs == total_macs(program.graph) - total_macs(graph)
    if target == "host":
        check(program, model)
    else:
        replay(program, lower_nodes(program.graph, find_backend(target)))
        assert_reference(CTwin(program).run(inputs_of(program)), model)


def test_every_chain_that_may_run_twice() -> None:
    graph = planner(Block("int8", 0).made()).graph
    found = list(excitations(graph))
    ops = [[graph.nodes[n].op for n in e.chain] for e in found]
    assert ops == [["depthwise_conv2d"], ["conv2d", "depthwise_conv2d"]]
    for excitation in found:
        again = verify(in_two_passes(graph, excitation))
        assert total_macs(again) == total_macs(graph) + excitation.extra_macs(graph)
        assert len(again.nodes) == len(graph.nodes) + len(excitation.chain)


def test_nothing_is_made_twice_unless_that_is_granted() -> None:
    model = Block("int8", 0).made()
    assert compile_model(model, "host", Options(strategy="rows")).extra_macs == 0
    granted = compile_model(model, "host", Options(ram=5000))
    assert granted.extra_macs > 0 and granted.arena_bytes <= 5000
    tight = compile_model(model, "host", Options(strategy="rows", max_extra_macs=1e-6))
    assert tight.extra_macs == 0


@settings(max_examples=15, **PROPERTY)
@given(networks(), st.booleans(), st.data())
def test_any_two_passes_have_the_same_bits(model: bytes, fed: bool, data: st.DataObject) -> None:
    found = planner(model, fed=fed)
    choices = list(excitations(found.graph))
    assume(choices)
    twice = found.twice(data.draw(st.sampled_from(choices)))
    for strategy in ("layers", "rows"):
        check(twice.plan(strategy), model)
