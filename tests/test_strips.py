"""Segments in strips of columns: the search against every other way, replayed, and run."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from c_call import CTwin, aligned, kernel_library
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_networks import networks
from seeded_model import SeededModel
from test_input_by_row import OK, outputs_of, printed
from test_segments import PROPERTY, assert_reference, every_way, inputs_of

from midge.runtime.backend import find_backend
from midge.runtime.errors import GraphError, MissingTool, PlanError
from midge.runtime.feeding import feed_input, passes_of, without_feed
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.interpreter import Interpreter
from midge.runtime.ops import total_macs
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes, rewrite
from midge.runtime.planner import Planner
from midge.runtime.program import Program
from midge.runtime.replay import replay
from midge.runtime.strips import (
    MOST_STRIPS,
    Point,
    Segment,
    StripCosts,
    least_bytes,
    least_extra,
    pareto,
)
from midge.runtime.verify import verify


def planner(model: bytes, target: str = "host", fed: bool = False) -> Planner:
    graph, backend = rewrite(read_tflite(model), Options()), find_backend(target)
    graph = feed_input(graph) if fed else graph
    lower = partial(lower_nodes, backend=backend)
    return Planner(graph, lower(graph), target, 16, lower=lower)


def some_point(found: Planner, data: st.DataObject) -> Point:
    """Any cuts, any strips, or patches before them."""
    strips = found.strip_costs()
    assume(0 < strips.count <= 10)
    cuts = data.draw(st.sampled_from(every_way(strips.count)))
    segments = []
    for begin, end in cuts:
        assume(end - begin == 1 or found.costs().cost(begin, end) < float("inf"))
        patches = strips.patched(end) if begin == 0 else []
        if patches and data.draw(st.booleans()):
            segments.append(data.draw(st.sampled_from(patches)))
            continue
        count = data.draw(st.integers(2, 5)) if strips.cuttable(begin, end) else 1
        cost = strips.of(begin, end, count) if count > 1 else None
        segments.append(Segment(begin, end, count if cost else 1, *(cost or (0, 0))))
    assume(any(segment.strips > 1 or segment.patch_rows for segment in segments))
    return Point(0, sum(s.extra_macs for s in segments), tuple(segments))


def in_strips(found: Planner, point: Point) -> Program:
    """The program of these cuts, replayed, its arithmetic as it was foreseen."""
    program = found.in_strips(point)
    assume(program is not None)  # parts of what a kernel wants in one piece
    assert program is not None
    backend = find_backend(program.target)
    replay(program, lower_nodes(program.graph, backend))
    assert program.extra_macs == point.extra_macs
    assert total_macs(program.graph) == total_macs(found.graph) + point.extra_macs
    return program


@settings(max_examples=30, **PROPERTY)
@given(networks(), st.booleans(), st.data())
def test_any_strips_have_the_same_bits(model: bytes, fed: bool, data: st.DataObject) -> None:
    found = planner(model, fed=fed)
    program = in_strips(found, some_point(found, data))
    executor = find_backend("host").build(program)
    executor.arena[:] = 0x5A  # type: ignore[attr-defined]
    for _ in range(2):
        assert_reference(executor.run(inputs_of(program)), model)


@settings(max_examples=20, **PROPERTY)
@given(networks(), st.data())
def test_c_kernels_have_the_same_bits(model: bytes, data: st.DataObject) -> None:
    try:
        kernel_library()
    except MissingTool as error:
        pytest.skip(str(error))
    found = planner(model, "cortex-m4")
    program = in_strips(found, some_point(found, data))
    assert_reference(CTwin(program).run(inputs_of(program)), model)


@settings(max_examples=25, **PROPERTY)
@given(networks(), st.booleans())
def test_every_strategy_has_the_same_bits(model: bytes, fed: bool) -> None:
    found = planner(model, fed=fed)
    sizes = {}
    for strategy in ("rows", "patches", "auto"):
        program = found.plan(strategy, 0.5)
        replay(program, lower_nodes(program.graph, find_backend("host")))
        assert program.extra_macs <= 0.5 * total_macs(found.graph)
        assert_reference(find_backend("host").build(program).run(inputs_of(program)), model)
        sizes[strategy] = program.arena_bytes
    assert sizes["auto"] == min(sizes["auto"], *sizes.values())


@settings(max_examples=25, **PROPERTY)
@given(networks(), st.booleans())
def test_the_search_finds_the_best_of_all_ways(model: bytes, fed: bool) -> None:
    found = planner(model, fed=fed)
    strips = found.strip_costs()
    assume(0 < strips.count <= 6)
    cuts = every_way(strips.count)
    sizes = {strips.costs.cost(begin, end) for way in cuts for begin, end in way}
    for limit in sorted(sizes)[:: max(len(sizes) // 4, 1)]:
        best = min(
            (extra for way in cuts for extra in ways_within(strips, way, limit)), default=None
        )
        point = least_extra(strips, limit)
        assert (sum(max(s.extra_macs, 0) for s in point.segments) if point else None) == best


@settings(max_examples=15, **PROPERTY)
@given(networks())
def test_the_best_patches_are_found(model: bytes) -> None:
    found = planner(model)
    patches = found.patch_costs()
    assume(0 < patches.count <= 8)
    alone = [patches.costs.cost(i, i + 1) for i in range(patches.count)]
    ways = [(max(alone), 0)]
    for end in range(2, patches.count + 1):
        for way in patches.patched(end):
            ways.append((max([way.bytes, *alone[end:]]), way.extra_macs))
    least = min(ways)
    assert least_bytes(patches, total_macs(found.graph) * 100).bytes <= least[0] * 513 / 512 + 1
    for limit in {least[0], max(alone)}:
        point = least_extra(patches, limit)
        inside = [extra for size, extra in ways if size <= limit]
        assert point is not None and point.extra_macs <= max(min(inside), 0)


def ways_within(strips: StripCosts, cuts, limit: float) -> list[int]:  # type: ignore[no-untyped-def]
    """Extra multiplications of every choice of strips, where a segment as a whole is too much."""
    choices = []
    for begin, end in cuts:
        found = [0] if strips.costs.cost(begin, end) <= limit else []
        if not found and strips.cuttable(begin, end):
            counts = (strips.of(begin, end, n) for n in range(2, MOST_STRIPS + 1))
            found = [max(extra, 0) for size, extra in filter(None, counts) if size <= limit]
        choices.append(found)
    return [sum(way) for way in product(*choices)]


def chain() -> bytes:
    """Two layers whose middle is larger than what goes in and comes out."""
    model = SeededModel("int8", 0)
    x, middle = (
        model.activation((1, 20, 21, 2)),
        model.activation((1, 20, 21, 24), model.sum_scale(18)),
    )
    y = model.activation((1, 10, 11, 2), model.sum_scale(9 * 24))
    for source, result, depth, filters, stride in ((x, middle, 2, 24, 1), (middle, y, 24, 2, 2)):
        weights, scales = model.weights((filters, 3, 3, depth), 0, True)
        bias = model.bias(filters, scales, 9 * depth)
        options = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
        model.node("CONV_2D", [source, weights, bias], [result], **options)
    return model.build([x], [y])


def test_fewer_bytes_for_more_arithmetic() -> None:
    found = planner(chain(), fed=True)
    points = list(pareto(found.strip_costs(), total_macs(found.graph)))
    assert len(points) > 2 and points[0].extra_macs == 0
    for before, after in pairwise(points):
        assert after.bytes < before.bytes and after.extra_macs > before.extra_macs
    assert least_bytes(found.strip_costs(), points[1].extra_macs).bytes == points[1].bytes


def test_printed_c_takes_the_image_once_for_each_strip(tmp_path: Path) -> None:
    program = compile_model(chain(), "cortex-m4", Options(input_by_row=True, max_extra_macs=0.5))
    rows = compile_model(chain(), "cortex-m4", Options(input_by_row=True))
    assert program.strategy == "strips" and program.arena_bytes < rows.arena_bytes
    passes = passes_of(program)
    assert passes > 1 and 0 < program.extra_macs <= 0.5 * total_macs(rows.graph)
    library = printed(program, tmp_path)
    arena = aligned(program.arena_bytes, 0x5A)
    where = ctypes.c_void_p(arena.ctypes.data)
    assert library.midge_model_init(where, ctypes.c_size_t(len(arena))) == OK
    image = np.ascontiguousarray(inputs_of(program)[0][0])
    at = ctypes.c_void_p(image.ctypes.data)
    for _ in range(2 * passes):
        assert library.midge_model_push_rows(where, at, len(image)) == OK
    assert_reference(outputs_of(library, arena, program), chain())


def test_saved_and_loaded(tmp_path: Path) -> None:
    program = compile_model(chain(), "host", Options(input_by_row=True, max_extra_macs=0.5))
    program.save(tmp_path / "p")
    loaded = Program.load(tmp_path / "p")
    assert loaded.extra_macs == program.extra_macs > 0
    assert_reference(find_backend("host").build(loaded).run(inputs_of(program)), chain())


def test_a_limit_that_makes_no_sense_is_refused() -> None:
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(PlanError, match="max extra MACs must be"):
            compile_model(chain(), "host", Options(max_extra_macs=wrong))
    with pytest.raises(PlanError, match="target reference computes nothing twice"):
        compile_model(chain(), "reference", Options(max_extra_macs=0.1))
    with pytest.raises(PlanError, match="layer by layer nothing is computed twice"):
        compile_model(chain(), "host", Options(max_extra_macs=0.1, strategy="layers"))


def test_a_limit_on_memory_is_met_with_least_arithmetic() -> None:
    options = Options(input_by_row=True)
    found = planner(chain(), fed=True)
    points = found.pareto()
    for point in points[1:4]:
        program = compile_model(chain(), "host", replace(options, ram=point.bytes))
        assert program.arena_bytes <= point.bytes and program.extra_macs == point.extra_macs
    rows = compile_model(chain(), "host", options)
    assert compile_model(chain(), "host", replace(options, ram=rows.arena_bytes)).extra_macs == 0
    with pytest.raises(PlanError, match=r"bytes in strips with .* % more arithmetic, --ram"):
        compile_model(chain(), "host", replace(options, ram=points[-1].bytes // 2))
    with pytest.raises(PlanError, match="with row streaming, --ram grants"):
        compile_model(chain(), "host", replace(options, ram=600, max_extra_macs=0.0))
    with pytest.raises(PlanError, match="more arithmetic and the input by row, --ram"):
        compile_model(chain(), "host", Options(ram=points[1].bytes))


def test_parts_that_are_not_inside_are_refused() -> None:
    program = compile_model(chain(), "host", Options(input_by_row=True, max_extra_macs=0.5))
    graph = without_feed(program.graph)
    breaches = {
        "feed": (lambda attrs: replace(attrs, left=20), "columns from 20 to"),
        "join": (lambda attrs: replace(attrs, corners=((1, 0), *attrs.corners[1:])), "not inside"),
    }
    for op, (breach, message) in breaches.items():
        number = next(i for i, node in enumerate(graph.nodes) if node.op == op)
        nodes = list(graph.nodes)
        nodes[number] = replace(nodes[number], attrs=breach(nodes[number].attrs))
        with pytest.raises(GraphError, match=message):
            verify(graph.with_nodes(nodes))


def test_the_interpreter_takes_the_image_once_for_each_strip() -> None:
    model = chain()
    found = Interpreter(model_content=model, input_by_row=True, max_extra_macs=0.5)
    found.allocate_tensors()
    detail, result = found.get_input_details()[0], found.get_output_details()[0]
    image = np.random.default_rng(0).integers(-128, 128, detail["shape"]).astype(np.int8)
    lefts = [found.push_rows(image[0]) for _ in range(3)]
    assert lefts[-1] % len(image[0]) == 0 and lefts[0] > 0
    while found.push_rows(image[0]):
        pass
    assert_reference([found.get_tensor(result["index"])], model)
