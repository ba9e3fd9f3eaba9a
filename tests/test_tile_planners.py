"""Planners that split layers over several devices, as their specifications say (500 graphs)."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from tile_graphs import Chain, random_graph, random_tiles

pytest.importorskip("networkx", reason="splitting needs networkx (midge[split])")

from midge.runtime.attributes import FullyConnected
from midge.runtime.errors import TargetError
from midge.runtime.graph import Node
from midge.targets.split.planners import coedge
from midge.targets.split.planners.adcnn import Rates
from midge.targets.split.planners.aofl import blocks
from midge.targets.split.planners.deepslicing import Speeds
from midge.targets.split.planners.mednn import partition
from midge.targets.split.planners.modnn_dense import deploy
from midge.targets.split.planners.problem import Link
from midge.targets.split.planners.strips import alone, cut_points, in_strips, shares
from midge.targets.split.planners.tile_planners import TILE_ALGORITHMS, plan_tiles
from midge.targets.split.tiles.boxes import area, meet, minus, without
from midge.targets.split.tiles.errands import errands
from midge.targets.split.tiles.loads import excess
from midge.targets.split.tiles.plan import GATEWAY, Device, Step, Tile, TilePlan, TileProblem
from midge.targets.split.tiles.route import Route, priced

GRAPHS = 500
IDENTICAL = sorted(set(TILE_ALGORITHMS) - {"adcnn"})


def draws(seed: str, count: int = GRAPHS) -> list[random.Random]:
    return [random.Random(f"{seed}/{i}") for i in range(count)]


def equal(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))


def test_what_is_left_of_a_box_is_every_other_pixel_once() -> None:
    for draw in draws("boxes"):
        box, other = (tuple(tuple(sorted(draw.sample(range(9), 2))) for _ in "rc") for _ in "ab")
        parts = minus(box, other)

        def pixels(b):  # type: ignore[no-untyped-def]
            return set(itertools.product(range(*b[0]), range(*b[1])))

        assert sum(map(area, parts)) == len(set().union(*map(pixels, parts)))
        assert set().union(*map(pixels, parts)) == pixels(box) - pixels(other)
        common = meet(box, other)
        assert (pixels(common) if common else set()) == pixels(box) & pixels(other)


def test_shares_add_up_and_are_within_one_of_their_own() -> None:
    for draw in draws("shares"):
        total = draw.randint(0, 224)
        weights = [draw.uniform(0.1, 9) for _ in range(draw.randint(1, 6))]
        found = shares(total, weights)
        assert sum(found) == total
        assert all(abs(n - total * w / sum(weights)) < 1 for n, w in zip(found, weights))


def rows_needed(graph, nodes, first: int, end: int) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Section 2.0 of the specification: rows of a chain's input, by kernel, stride and padding."""
    for number in reversed(nodes):
        node = graph.nodes[number]
        pool = hasattr(node.attrs, "window")
        kernel = node.attrs.window[0] if pool else graph.input(node, 1).shape[1]
        stride, top = node.attrs.stride[0], node.attrs.padding.top
        size = graph.input(node).shape[1]
        first, end = first * stride - top, (end - 1) * stride - top + kernel
        first, end = max(first, 0), min(end, size)
    return first, end


def test_fused_tiles_need_the_rows_that_the_range_algebra_says() -> None:
    seen = 0
    for draw in draws("ranges"):
        graph = random_graph(draw, 5, residuals=False)
        problem = TileProblem(graph, (1.0,) * len(graph.nodes), (Device(),))
        nodes = range(len(graph.nodes))
        _, rows, columns, _ = graph.output(graph.nodes[-1]).shape
        first = draw.randrange(rows)
        end = draw.randint(first + 1, rows)
        boxes = problem.geometry.trace(nodes, ((first, end), (0, columns)))
        if boxes is None or end - first == rows:
            continue
        seen += 1
        needed = problem.geometry.needs(0, boxes[0])
        made_whole = boxes[0][0] == (0, graph.output(graph.nodes[0]).shape[1])
        assert needed is not None
        if not made_whole:
            assert needed[0][0] == rows_needed(graph, nodes, first, end)
    assert seen > GRAPHS / 2


def cover_once(problem: TileProblem, plan: TilePlan) -> None:
    """What leaves the steps is made whole, no pixel twice; of inner tensors what is needed is."""
    left: dict[int, list] = {}  # type: ignore[type-arg]
    for step in plan.steps:
        for tile in step.tiles:
            number, box = tile.boxes[-1]
            left.setdefault(number, []).append(box)
    for number, boxes in left.items():
        whole = problem.geometry.whole[problem.geometry.output(number)]
        assert not without(whole, boxes)
        assert sum(map(area, boxes)) == area(whole)
    assert len(problem.graph.nodes) - 1 in left


@pytest.mark.parametrize("name", IDENTICAL)
def test_tiles_cover_every_layer_and_what_leaves_is_made_once(name: str) -> None:
    for draw in draws(f"cover/{name}"):
        problem = random_tiles(draw, most=3)
        if name == "deepthings":  # not all grids for each graph
            problem = replace(problem, extras={"grid": (draw.randint(1, 3), draw.randint(1, 3))})
        try:
            plan = plan_tiles(name, problem)
        except TargetError:
            assert name == "deepthings"  # the first layer can't be made in a grid
            continue
        cover_once(problem, plan)
        assert plan.identical
        told = errands(problem, plan.steps)
        moved = sum(
            sum(_bytes(problem, piece) for piece in (*e.given, *e.task.give))
            for step in told
            for e in step
            if e.device != GATEWAY
        )
        assert moved == plan.sent_bytes  # what is told to be sent is what was planned


def _bytes(problem: TileProblem, piece) -> int:  # type: ignore[no-untyped-def]
    tensor = problem.graph.tensors[piece[0]]
    return area(piece[1]) * tensor.bytes // area(problem.geometry.whole[piece[0]])


def test_modnn_costs_what_a_simulation_by_pixels_says() -> None:
    """Layers of a chain by rows: bytes and times by the specification, without boxes."""
    for draw in draws("modnn"):
        problem = random_tiles(draw, most=4, residuals=False)
        plan = plan_tiles("modnn", problem)
        ms, sent = 0.0, 0
        for number, step in enumerate(plan.steps):
            graph, node = problem.graph, problem.graph.nodes[number]
            source, made = graph.input(node), graph.output(node)
            compute, delays = [], [0.0]
            for tile in step.tiles:
                (top, bottom), (left, right) = tile.boxes[0][1]
                device = problem.devices[tile.device]
                pixels = (bottom - top) * (right - left)
                share = pixels / (made.shape[1] * made.shape[2])
                compute.append(problem.node_ms[number] * share / device.speed)
                if tile.device == GATEWAY:
                    continue
                rows = _window(graph, node, 0, top, bottom)
                columns = _window(graph, node, 1, left, right)
                there = rows * columns * source.shape[3]
                back = pixels * made.shape[3]
                sent += there + back
                ms += there / device.link.up + back / device.link.down
                delays.append(device.link.delay_ms)
            ms += max(compute) + max(delays)
        assert equal(plan.predicted_ms, ms)
        assert plan.sent_bytes == sent


def _window(graph, node, axis: int, first: int, end: int) -> int:  # type: ignore[no-untyped-def]
    size, outputs = graph.input(node).shape[1 + axis], graph.output(node).shape[1 + axis]
    if (first, end) == (0, outputs):
        return size  # all is made, and all is sent
    if hasattr(node.attrs, "window"):
        kernel = node.attrs.window[axis]
    else:
        kernel = graph.input(node, 1).shape[1 + axis]
    before = node.attrs.padding.top if axis == 0 else node.attrs.padding.left
    taken = {
        i * node.attrs.stride[axis] - before + k for i in range(first, end) for k in range(kernel)
    }
    inside = [i for i in taken if 0 <= i < size]
    return max(inside) - min(inside) + 1  # a box, with what a stride leaves out


def fusings(problem: TileProblem, ways):  # type: ignore[no-untyped-def]
    """The least latency over all ways to fuse and to split, by trying every one."""
    points = cut_points(problem)

    def least(at: int, route: Route) -> float:
        if at == len(points) - 1:
            last = route.copy()
            last.finish()
            return last.ms
        best = float("inf")
        for end in range(at + 1, len(points)):
            for step in ways(points[at], points[end]):
                further = route.copy()
                further.take(step)
                best = min(best, least(end, further))
        return best

    return least(0, Route.start(problem))


def test_aofl_is_the_best_of_all_fusings_and_numbers_of_devices() -> None:
    for draw in draws("aofl"):
        problem = random_tiles(draw, most=draw.choice([2, 3, 4]), devices=2)
        counts = range(1, len(problem.devices) + 1)
        best = fusings(
            problem, lambda a, b, p=problem, c=counts: [s for _, s in blocks(p, a, b, c)]
        )
        found = plan_tiles("aofl", problem)
        assert equal(found.predicted_ms, best)
        assert equal(priced(problem, "again", found.steps).predicted_ms, best)


def test_dpfp_adds_devices_while_the_best_fusing_gets_faster() -> None:
    for draw in draws("dpfp"):
        problem = random_tiles(draw, most=2, devices=3)
        best = [
            fusings(problem, lambda a, b, p=problem, n=n: [s for _, s in blocks(p, a, b, [n])])
            for n in range(1, len(problem.devices) + 1)
        ]
        last = next(
            (n for n, (a, b) in enumerate(itertools.pairwise(best)) if b >= a), len(best) - 1
        )
        found = plan_tiles("dpfp", problem)
        assert found.evidence["devices"] == last + 1
        assert equal(found.predicted_ms, best[last])
        assert plan_tiles("aofl", problem).predicted_ms <= found.predicted_ms + 1e-9


def test_a_slower_network_never_makes_aofl_send_more() -> None:
    for draw in draws("slower"):
        problem = random_tiles(draw, most=2, devices=3)
        sent = []
        for rate in (5000.0, 500.0, 50.0, 5.0):
            there = tuple(replace(d, link=Link(rate, rate, 0.2)) for d in problem.devices)
            sent.append(plan_tiles("aofl", replace(problem, devices=there)).sent_bytes)
        assert sent == sorted(sent, reverse=True)


def test_deepslicing_synchronises_where_that_is_best() -> None:
    for draw in draws("slices"):
        problem = random_tiles(draw, most=4, devices=3)
        every = range(len(problem.devices))

        def ways(a: int, b: int, problem=problem, every=every) -> list[Step]:  # type: ignore[no-untyped-def]
            sliced = in_strips(problem, range(a, b), every, axis=0)
            return [alone(problem, range(a, b)), *([sliced] if sliced else [])]

        found = plan_tiles("deepslicing", problem)
        assert equal(found.predicted_ms, fusings(problem, ways))


def test_equal_devices_get_equal_rows_and_speeds_are_learnt() -> None:
    chain = Chain(random.Random(1), 17, 9, 3)
    chain.conv(3, 1, True, 4)
    problem = TileProblem(chain.graph(), (50.0,), (Device(link=Link(1e6, 1e6)),) * 3)
    rows = [tile.boxes[0][1][0] for tile in plan_tiles("deepslicing", problem).steps[0].tiles]
    assert sorted(b - a for a, b in rows) == [5, 6, 6]
    speeds = Speeds()
    for _ in range(40):
        for device, ms in ((0, 10.0), (1, 5.0), (2, 20.0)):
            speeds.observe(device, 10, ms)
    learnt = speeds.applied(problem)
    assert [round(d.speed, 3) for d in learnt.devices] == [1.0, 2.0, 0.5]
    rows = [tile.boxes[0][1][0] for tile in plan_tiles("deepslicing", learnt).steps[0].tiles]
    assert [b - a for a, b in rows] == [5, 10, 2]


@pytest.mark.parametrize("side", ["shorter", "longer", "min-halo"])
def test_mednns_boxes_cover_a_map_and_are_as_large_as_their_devices_are_fast(side: str) -> None:
    for draw in draws(f"mednn/{side}"):
        box = ((0, draw.randint(8, 60)), (0, draw.randint(8, 60)))
        speeds = {d: draw.uniform(0.5, 4) for d in range(draw.randint(1, 8))}
        parts = partition(box, speeds, side)
        assert sum(area(part) for _, part in parts) == area(box)
        assert not without(box, [part for _, part in parts])
        assert len({device for device, _ in parts}) == len(parts)
        if len(speeds) == 2:
            for device, part in parts:
                edge = max(box[0][1], box[1][1])
                exact = area(box) * speeds[device] / sum(speeds.values())
                assert abs(area(part) - exact) <= edge


def test_least_halo_never_cuts_longer_edges_than_a_fixed_side() -> None:
    def edges(box, parts) -> int:  # type: ignore[no-untyped-def]
        height, width = box[0][1], box[1][1]
        around = sum(2 * (p[0][1] - p[0][0]) + 2 * (p[1][1] - p[1][0]) for _, p in parts)
        return (around - 2 * height - 2 * width) // 2

    for draw in draws("halo"):
        box = ((0, draw.randint(8, 60)), (0, draw.randint(8, 60)))
        speeds = dict.fromkeys(range(2), 1.0)
        least = edges(box, partition(box, speeds, "min-halo"))
        assert least <= min(edges(box, partition(box, speeds, s)) for s in ("shorter", "longer"))


def test_reuse_saves_arithmetic_and_never_costs_any() -> None:
    saved = 0
    for draw in draws("reuse"):
        problem = random_tiles(draw, most=4, grid=(draw.randint(1, 3), draw.randint(1, 3)))
        try:
            reused = plan_tiles("deepthings", problem)
        except TargetError:
            continue
        extras = {**problem.extras, "reuse": False, "layers": reused.evidence["layers"]}
        plain = plan_tiles("deepthings", replace(problem, extras=extras))
        assert reused.extra_macs <= plain.extra_macs
        saved += reused.extra_macs < plain.extra_macs
    assert saved > GRAPHS / 10


def test_coedges_shares_are_the_best_of_all() -> None:
    """Limits are whole twelfths, and so are the corners of what they allow: all are tried."""
    none = 0
    for draw in draws("shares of energy"):
        devices = draw.randint(1, 4)
        most = [draw.randint(0, 12) for _ in range(devices)]
        least, energy = draw.randint(1, 5), [draw.uniform(0.2, 3) for _ in most]
        allowed = [
            (*first, last)
            for first in itertools.product(*(range(m + 1) for m in most[:-1]))
            if 0 <= (last := 12 - sum(first)) <= most[-1]
            and all(x == 0 or x >= least for x in (*first, last))
        ]
        found = coedge.best_shares(energy, [m / 12 for m in most], least / 12)
        none += found is None
        assert (found is None) == (not allowed)
        if found is not None:
            assert equal(sum(found), 1.0)
            assert all(x <= m / 12 + 1e-9 for x, m in zip(found, most))
            assert all(x == 0 or x >= least / 12 - 1e-9 for x in found)
            cost = sum(e * x for e, x in zip(energy, found))
            assert equal(cost, min(sum(e * x / 12 for e, x in zip(energy, s)) for s in allowed))
    assert 0 < none < GRAPHS


def test_coedge_keeps_its_deadline_and_its_halos() -> None:
    kept = 0
    for draw in draws("coedge"):
        problem = random_tiles(draw, most=3)
        there = tuple(replace(d, compute_mj_per_ms=draw.uniform(0.2, 3)) for d in problem.devices)
        problem = replace(problem, devices=there)
        prefix = coedge.cooperative(problem)
        deadline = sum(problem.node_ms) * draw.uniform(0.3, 2.5)
        found = coedge.workload(problem, prefix, deadline) if prefix else None
        if found is None:
            continue
        kept += 1
        _, split = found
        waits = coedge._waits(problem, prefix)
        work = sum(problem.node_ms[n] for n in prefix)
        for device, wait, share in zip(there, waits, split):
            assert share == 0 or share * work / device.speed + wait <= deadline + 1e-6
        least = coedge.least_share(problem, prefix)
        assert all(share == 0 or share >= least - 1e-9 for share in split)
    assert kept > GRAPHS / 2


def test_adcnn_gives_tiles_by_rate_and_within_memory() -> None:
    for draw in draws("rates"):
        rates = Rates({d: draw.uniform(0.2, 5) for d in range(draw.randint(1, 5))})
        tiles = draw.randint(1, 30)
        owners = rates.allocate(tiles, {})
        counts = {d: owners.count(d) for d in rates.values}
        assert sum(counts.values()) == tiles
        latest = max(counts[d] / s for d, s in rates.values.items())
        assert all(latest <= (counts[d] + 1) / s + 1e-9 for d, s in rates.values.items())
        limited = rates.allocate(1, {d: int(d == 0) for d in rates.values})
        assert limited == [0]
    with pytest.raises(TargetError, match="can't hold all tiles"):
        Rates({0: 1.0}).allocate(2, {0: 1})
    rates = Rates({0: 1.0, 1: 1.0})
    rates.observe({0: 4, 1: 0})
    assert rates.values == {0: 0.7 + 0.3 * 4, 1: 0.7}


def test_adcnn_says_that_it_is_another_network_unless_nothing_is_cut_off() -> None:
    def plan(kernel: int) -> TilePlan:
        chain = Chain(random.Random(1), 8, 8, 3)
        chain.conv(kernel, 1, True, 4)
        chain.conv(2, 2, False, 4, pool=True)
        return plan_tiles("adcnn", TileProblem(chain.graph(), (5.0, 5.0), (Device(),) * 2))

    assert not plan(3).identical
    assert plan(1).identical  # 1x1, and pools that are aligned to the tiles


@pytest.mark.parametrize("name", sorted(TILE_ALGORITHMS))
def test_tiles_fit_into_the_devices_memories_or_one_sentence_says_why(name: str) -> None:
    kept = refused = 0
    for draw in draws(f"memory/{name}"):
        problem = random_tiles(draw, most=2)
        if name == "deepthings":  # not all grids for each graph
            problem = replace(problem, extras={"grid": (draw.randint(1, 2), draw.randint(1, 2))})
        there = tuple(
            replace(d, memory_bytes=draw.choice([None, 200, 1000])) for d in problem.devices
        )
        problem = replace(problem, devices=there)
        try:
            plan = plan_tiles(name, problem)
        except TargetError as error:
            refused += 1
            assert "\n" not in str(error)
            continue
        kept += 1
        assert all(over <= 0 for over in excess(problem, plan.steps).values())
    assert kept
    assert refused


def test_a_gateway_alone_makes_everything() -> None:
    chain = Chain(random.Random(2), 8, 8, 3)
    chain.conv(3, 1, True, 4)
    chain.residual()
    problem = TileProblem(chain.graph(), (1.0,) * 4, (Device(),))
    for name in IDENTICAL:
        plan = plan_tiles(name, problem)
        assert plan.sent_bytes == 0
        assert plan.devices == [GATEWAY]


def test_what_nobody_has_and_unknown_names_are_one_sentence() -> None:
    chain = Chain(random.Random(2), 8, 8, 3)
    chain.conv(3, 1, True, 4)
    chain.conv(3, 1, True, 4)
    problem = TileProblem(chain.graph(), (1.0, 1.0), (Device(),))
    box = problem.geometry.whole[problem.geometry.output(1)]
    with pytest.raises(TargetError, match="no device has the part"):
        priced(problem, "torn", [Step((Tile(0, ((1, box),)),))])
    with pytest.raises(TargetError, match="no algorithm 'magic'"):
        plan_tiles("magic", problem)
    with pytest.raises(TargetError, match="splits the side"):
        plan_tiles("mednn", replace(problem, extras={"side": "left"}))
    with pytest.raises(TargetError, match="speed must be above 0"):
        Device(speed=0)
    with pytest.raises(TargetError, match="can't meet"):
        plan_tiles("coedge", replace(problem, extras={"deadline_ms": 0.001}))


def test_modnns_products_of_a_pruned_layer_add_up_and_inputs_are_sent_once() -> None:
    for draw in draws("dense"):
        rng = np.random.default_rng(draw.randrange(1 << 30))
        outputs, inputs = draw.randint(1, 14), draw.randint(1, 14)
        weights = rng.integers(-127, 128, (outputs, inputs))
        weights[rng.random((outputs, inputs)) < draw.choice([0.0, 0.5, 0.9])] = 0
        speeds = [draw.uniform(0.5, 3) for _ in range(draw.randint(1, 4))]
        made, x = deploy(weights, speeds), rng.integers(-128, 128, inputs)
        sums = sum(made.products(device, weights, x) for device in range(len(speeds)))
        np.testing.assert_array_equal(sums, weights @ x)
        assert ((made.where == -1) == (weights == 0)).all()
        for device in range(len(speeds)):
            used = {j for i, j in zip(*np.nonzero(weights)) if made.where[i, j] == device}
            remote = {j for j in used if made.columns[j] != device}
            assert set(made.remote_inputs(device)) == remote


def test_modnn_says_who_would_multiply_a_pruned_layer() -> None:
    weights = np.kron(np.eye(2), np.full((3, 4), 7)).astype(np.int8)
    chain = Chain(random.Random(1), 1, 1, 8)
    w, y = chain.add((6, 8), weights), chain.add((1, 6))
    chain.nodes.append(Node("fully_connected", (chain.last, w, None), (y,), FullyConnected()))
    chain.last = y
    graph = chain.graph()
    told = plan_tiles("modnn", TileProblem(graph, (9.0,), (Device(),) * 2)).evidence["dense"]
    assert told == [{"node": 0, "products": [12, 12], "remote_inputs": [0, 0]}]


def test_clusters_of_a_block_matrix_are_its_blocks() -> None:
    weights = np.zeros((9, 12), int)
    for k in range(3):
        weights[3 * k : 3 * k + 3, 4 * k : 4 * k + 4] = 5 + k
    order = np.random.default_rng(0).permutation(9)
    made = deploy(weights[order], [1.0, 1.0, 1.0])
    assert all(len(made.remote_inputs(device)) == 0 for device in range(3))
    assert sorted(np.bincount(made.columns)) == [4, 4, 4]
