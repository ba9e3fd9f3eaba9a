"""The adaptive split: it learns the link, moves the cut, and gives the right answer throughout."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
from seeded_model import SeededModel

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.runtime.program import Program
from midge.sim.links import Shape, ShapedLink
from midge.targets.split import adaptive
from midge.targets.split import executor as executing
from midge.targets.split.adaptive import AdaptiveExecutor
from midge.targets.split.client import EdgeClient
from midge.targets.split.coding_costs import CodingCost
from midge.targets.split.costs import Codings, Profile, costs_of, measure
from midge.targets.split.cut import cut_between, legal_cuts
from midge.targets.split.estimate import ChangePoint, LinkEstimate
from midge.targets.split.executor import SplitExecutor
from midge.targets.split.planners.exact import closed_sets
from midge.targets.split.server import ModelServer
from midge.tools.split_soak import FAULTS, Soak, far_device, load
from midge.tools.zoo import OWN


def test_a_stationary_trace_declares_no_change_and_a_step_one() -> None:
    for seed in range(20):
        noise = random.Random(seed)
        detector = ChangePoint()
        assert detector.add(3.0)
        steady = [detector.add(noise.gauss(3.0, 0.15)) for _ in range(300)]
        stepped = [detector.add(noise.gauss(1.5, 0.15)) for _ in range(30)]
        assert sum(steady) == 0, seed
        assert sum(stepped) == 1, seed
        assert stepped.index(True) < 8
        assert abs(detector.mean - 1.5) < 0.3


def test_the_rate_and_the_load_are_found_from_exchanges() -> None:
    estimate = LinkEstimate()
    estimate.answered_empty(10.0)
    for _ in range(20):
        estimate.carried(5000, 10.0 + 50.0)
        estimate.computed(3.0, 1.0)
    assert estimate.rate == pytest.approx(100.0)
    assert estimate.load == pytest.approx(3.0, rel=0.05)
    assert not estimate.carried(1, 1e9), "an empty exchange says nothing of the rate"


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(rewrite(read_model(OWN / "digits.tflite"), Options()))


@pytest.fixture(scope="module")
def server(program: Program) -> Iterator[ModelServer]:
    served = ModelServer(program.graph, "digits")
    served.start()
    yield served
    served.stop()


def digits() -> np.ndarray:
    return np.load(OWN / "digits_inputs.npy")


def branches() -> bytes:
    """Two pools on one way and one on the other, joined: 5 of the 7 closed sets are prefixes."""
    model, shape = SeededModel("int8", 3), (1, 6, 5, 4)
    x, a, b, c = (model.activation(shape) for _ in range(4))
    y = model.activation((1, 6, 5, 8))
    window = {"padding": "SAME", "filter_width": 3, "filter_height": 3}
    for source, made in ((x, a), (a, b), (x, c)):
        model.node("MAX_POOL_2D", [source], [made], stride_w=1, stride_h=1, **window)
    model.node("CONCATENATION", [b, c], [y], axis=3)
    return model.build([x], [y])


def test_every_closed_set_gives_the_same_bits() -> None:
    graph = rewrite(read_model(branches()), Options())
    x = np.random.default_rng(0).integers(-128, 128, (1, 6, 5, 4), dtype=np.int8)
    expected = find_backend("host").build(compile_graph(graph)).run([x])[0]
    even = Profile(graph.sha256, "", tuple(float(k) for k in range(len(graph.nodes) + 1)))
    sets = closed_sets(costs_of(graph, even, even))
    assert len(sets) == 7 > len(legal_cuts(graph))
    served = ModelServer(graph, "branches")
    served.start()
    client = EdgeClient(served.address, "branches", deadline_s=60)
    for device in sets:
        cut = cut_between(graph, device)
        executor = SplitExecutor(graph, cut, client)
        np.testing.assert_array_equal(executor.run([x])[0], expected)
        assert (executor.exchange is None) == (not cut.server)
        assert {n for n, _, _ in executor.trace([x])} == set(range(len(graph.nodes)))
    client.close()
    served.stop()


def test_a_measured_profile_rises_and_survives_its_file(program: Program, tmp_path) -> None:  # type: ignore[no-untyped-def]
    profile = measure(program.graph, [digits()[:1]])
    assert len(profile.node_ms) == len(program.graph.nodes)
    assert min(profile.node_ms) >= 0
    assert profile.prefix_ms[-1] > 0
    profile.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json", program.graph) == profile


def until(condition, seconds: float = 90.0) -> bool:  # type: ignore[no-untyped-def]
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many probes and retries as in use, so that a test need not wait for them."""
    monkeypatch.setattr(adaptive, "PROBE_S", 0.1)
    monkeypatch.setattr(executing, "RETRY_S", 0.1)


@pytest.mark.usefixtures("often")
def test_the_cut_follows_the_link(program: Program, server: ModelServer) -> None:
    """A fast link draws the model to the server, a slow one sends it home, and back again."""
    link = ShapedLink(server.address, Shape(up=12_500.0, down=12_500.0))
    client = EdgeClient(link.address, "digits", deadline_s=60)
    executor = AdaptiveExecutor(program.graph, far_device(program), client)
    inputs = [digits()[2:3]]
    expected = find_backend("host").build(program).run(inputs)[0]

    def answers() -> None:
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)

    def whole_here() -> bool:
        answers()
        return executor.cut.position == len(program.graph.nodes)

    def on_the_server() -> bool:
        answers()
        return executor.cut.position < len(program.graph.nodes)

    try:
        assert until(on_the_server)
        link.shape.up = link.shape.down = 8.0
        assert until(whole_here), list(map(str, executor.log))
        link.shape.up = link.shape.down = 12_500.0
        assert until(on_the_server), list(map(str, executor.log))
        assert any("moves to" in line.text for line in executor.log)
    finally:
        executor.close()
        link.close()


@pytest.mark.usefixtures("often")
def test_codings_are_part_of_the_plan(program: Program, server: ModelServer) -> None:
    """Coding costs 2 ms: on a fast link nothing is coded, on a slow one that keeps the server."""
    graph = program.graph
    costs = {
        t: (CodingCost("raw", graph.tensors[t].bytes), CodingCost("lz4", 60, 2.0, 0.1))
        for t in (*graph.inputs, *(t for node in graph.nodes for t in node.outputs))
    }
    link = ShapedLink(server.address, Shape(up=12_500.0, down=12_500.0))
    client = EdgeClient(link.address, "digits", deadline_s=60)
    executor = AdaptiveExecutor(
        graph, far_device(program), client, codings=Codings(graph, costs, slowdown=1.0)
    )
    inputs = [digits()[2:3]]
    expected = find_backend("host").build(program).run(inputs)[0]

    def sends(coded: bool) -> bool:
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        exchange = executor.current.exchange
        if exchange is None or exchange.error is not None:
            return False
        return coded == (exchange.sent_bytes < executor.cut.sent_bytes)

    try:
        assert until(lambda: sends(coded=False))
        link.shape.up = link.shape.down = 20.0
        assert until(lambda: sends(coded=True)), list(map(str, executor.log))
        told = [line.text for line in executor.log if line.kind in ("coding", "cut")]
        assert "coded" not in told[0] and "coded lz4" in told[-1]
    finally:
        executor.close()
        link.close()


@pytest.mark.usefixtures("often")
def test_no_fault_costs_an_answer(program: Program) -> None:
    """Requests while the server dies and comes back, the link breaks, stalls, slows and lies."""
    soak = Soak(program, deadline_ms=2000.0)
    try:
        told = soak.run(240)
    finally:
        soak.close()
    assert told.requests >= 240
    assert told.wrong == 0
    assert told.recovered == len(FAULTS), told.log
    assert max(told.worst_ms.values()) < 60_000.0, "nothing hangs"
    log = "\n".join(told.log)
    assert "the server failed" in log, log
    assert "the server answers again" in log, log


def test_many_devices_at_once(program: Program) -> None:
    result = load(program, clients=16, seconds=1.5)
    assert result["wrong"] == 0
    assert result["remote"] > 0
    assert result["least_of_a_client"] > 0
