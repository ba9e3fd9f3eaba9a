"""Layers in tiles over several workers give the model's own bits, whoever is lost meanwhile."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence

import build_tflite as b
import numpy as np
import pytest
from build_compute import windows
from seeded_model import WEIGHT_SCALE, SeededModel

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, TargetError
from midge.runtime.graph import DTYPES, Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.split.backend import ServerProcess
from midge.targets.split.planners.problem import Link
from midge.targets.split.planners.tile_planners import TILE_ALGORITHMS, plan_tiles
from midge.targets.split.server import ModelServer
from midge.targets.split.tiles.executor import TileExecutor, Worker, WorkerError
from midge.targets.split.tiles.geometry import Geometry
from midge.targets.split.tiles.plan import Device, Tile, TileProblem
from midge.targets.split.tiles.service import connect
from midge.targets.split.tiles.task import Piece, Task, TileHost, read_pieces
from midge.tools.zoo import find_model

IDENTICAL = sorted(set(TILE_ALGORITHMS) - {"adcnn"})
EVEN = Link.of(100.0, 0.1)


class Network(SeededModel):
    """Layers one after the other, each quantized for the sums that it makes."""

    def __init__(self, size: tuple[int, int], depth: int) -> None:
        super().__init__("int8", 1)
        self.shape = (1, *size, depth)
        self.first = self.last = self.tensor(self.shape, "int8", 0.05, -5)
        self.scale = 0.05

    def conv(self, depth: int, kernel: int = 3, stride: int = 1, activation: str = "RELU") -> None:
        self._window("CONV_2D", depth, kernel, stride, activation)

    def depthwise(self, stride: int = 1) -> None:
        self._window("DEPTHWISE_CONV_2D", self.shape[3], 3, stride, "RELU6")

    def _window(self, name: str, depth: int, kernel: int, stride: int, activation: str) -> None:
        deep = name == "DEPTHWISE_CONV_2D"
        shape = (1, kernel, kernel, depth) if deep else (depth, kernel, kernel, self.shape[3])
        weights, scales = self.weights(shape, 3 if deep else 0, True)
        bias = self.constant(
            self.rng.integers(-2000, 2000, depth), "int32", scale=scales * self.scale
        )
        size = (windows(n, kernel, stride, "SAME") for n in self.shape[1:3])
        self.shape = (1, *size, depth)
        scale = self.sum_scale(kernel * kernel * (1 if deep else shape[3]))
        made = self.tensor(self.shape, "int8", scale, -5)
        more = {"depth_multiplier": 1} if deep else {}
        self.node(
            name, [self.last, weights, bias], [made], padding="SAME", stride_h=stride,
            stride_w=stride, fused_activation_function=activation, **more,
        )  # fmt: skip
        self.last, self.scale = made, scale

    def add(self, other: int) -> None:
        made = self.tensor(self.shape, "int8", 1.5 * self.scale, 3)
        self.node("ADD", [self.last, other], [made])
        self.last, self.scale = made, 1.5 * self.scale

    def end(self) -> bytes:
        """The mean of the map, a dense layer, softmax."""
        axes = self.constant([1, 2], "int32")
        mean = self.tensor((1, self.shape[3]), "int8", self.scale, -5)
        self.node("MEAN", [self.last, axes], [mean], keep_dims=False)
        weights = self.constant(
            self.rng.integers(-127, 128, (5, self.shape[3])), "int8", scale=WEIGHT_SCALE
        )
        bias = self.constant([9] * 5, "int32", scale=WEIGHT_SCALE * self.scale)
        dense = self.tensor((1, 5), "int8", self.sum_scale(self.shape[3]), 0)
        self.node("FULLY_CONNECTED", [mean, weights, bias], [dense])
        scores = self.tensor((1, 5), "int8", 1 / 256, -128)
        self.node("SOFTMAX", [dense], [scores], beta=1.0)
        return self.build([self.first], [self.last, scores])


def mobilenet() -> bytes:
    """As MobileNetV2: inverted residuals, odd sizes, both strides."""
    net = Network((21, 17), 3)
    net.conv(8, stride=2, activation="RELU6")
    for depth, stride in ((8, 1), (12, 2), (12, 1)):
        start, before = net.last, net.shape
        net.conv(2 * before[3], kernel=1, activation="RELU6")
        net.depthwise(stride)
        net.conv(depth, kernel=1, activation="NONE")
        if net.shape == before:
            net.add(start)
    return net.end()


def resnet() -> bytes:
    """As ResNet: residuals, one of them over a strided 1x1 convolution."""
    net = Network((16, 16), 3)
    net.conv(8)
    start = net.last
    net.conv(8)
    net.conv(8, activation="NONE")
    net.add(start)
    start, shape, scale = net.last, net.shape, net.scale
    net.conv(12, stride=2)
    net.conv(12, activation="NONE")
    long, long_scale = net.last, net.scale
    net.last, net.shape, net.scale = start, shape, scale
    net.conv(12, kernel=1, stride=2, activation="NONE")
    net.scale = max(long_scale, net.scale)
    net.add(long)
    return net.end()


def graph_of(model: str | bytes) -> Graph:
    source: object = model
    if model in ("mobilenet", "resnet"):
        source = {"mobilenet": mobilenet, "resnet": resnet}[str(model)]()
    elif isinstance(model, str):
        source = find_model(model)
    return rewrite(read_model(source), Options())  # type: ignore[arg-type]


def inputs_of(graph: Graph) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(-128, 128, graph.tensors[t].shape).astype(DTYPES[graph.tensors[t].dtype])
        for t in graph.inputs
    ]


def answer_of(graph: Graph) -> list[np.ndarray]:
    return find_backend("host").build(compile_graph(graph)).run(inputs_of(graph))


def problem_of(graph: Graph, workers: int, **extras: object) -> TileProblem:
    """Devices of different speeds; every node takes 10 ms, so that sharing pays."""
    devices = tuple(Device(1.0 + 0.3 * number, EVEN) for number in range(workers))
    return TileProblem(graph, (10.0,) * len(graph.nodes), devices, extras)


class Near:
    """A worker in this process. It fails from its `fails`-th task on."""

    def __init__(self, graph: Graph, fails: int | None = None) -> None:
        self.host, self.fails, self.tasks = TileHost(graph), fails, 0

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        self.tasks += 1
        if self.fails is not None and self.tasks >= self.fails:
            raise WorkerError("it is gone")
        return self.host.run(frame, task, given, values)

    def close(self) -> None:
        self.host.close()


def assert_same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("model", ["digits", "mobilenet", "resnet"])
def test_every_method_gives_the_models_bits(model: str, workers: int) -> None:
    graph = graph_of(model)
    expected = answer_of(graph)
    hosts = {number: Near(graph) for number in range(1, workers)}
    for name in IDENTICAL:
        problem = problem_of(graph, workers)
        plan = plan_tiles(name, problem)
        executor = TileExecutor(problem, plan, hosts)
        assert_same(executor.run(inputs_of(graph)), expected)
        assert plan.identical
        assert len(plan.devices) > 1, name
        if name != "deepthings":  # idle devices take tiles of others, which moves other bytes
            assert executor.sent_bytes == plan.sent_bytes
            assert sorted(executor.made) == plan.devices


@pytest.mark.parametrize(
    ("model", "name"), [("pretrainedResnet_quant", "coedge"), ("mobilenetv2_160_035", "aofl")]
)
def test_real_models_give_their_bits(model: str, name: str) -> None:
    graph = graph_of(model)
    problem = problem_of(graph, 3)
    hosts: dict[int, Worker] = {number: Near(graph) for number in (1, 2)}
    executor = TileExecutor(problem, plan_tiles(name, problem), hosts)
    assert_same(executor.run(inputs_of(graph)), answer_of(graph))


def test_reused_halos_give_the_same_bits_as_recomputed_ones() -> None:
    graph = graph_of("mobilenet")
    expected = answer_of(graph)
    extra = []
    for reuse in (True, False):
        problem = problem_of(graph, 3, grid=(3, 3), layers=6, reuse=reuse)
        plan = plan_tiles("deepthings", problem)
        executor = TileExecutor(problem, plan, {1: Near(graph), 2: Near(graph)})
        assert_same(executor.run(inputs_of(graph)), expected)
        extra.append(plan.extra_macs)
    assert 0 <= extra[0] < extra[1]


def test_isolated_tiles_differ_at_their_borders_and_only_there() -> None:
    """FDSP: another network, whose answers differ; how far is measured, and where they can."""
    net = Network((8, 8), 3)
    net.conv(4, activation="NONE")
    graph = rewrite(read_model(net.build([net.first], [net.last])), Options())
    problem = problem_of(graph, 2, grid=(2, 2))
    plan = plan_tiles("adcnn", problem)
    assert not plan.identical
    found = TileExecutor(problem, plan, {1: Near(graph)}).run(inputs_of(graph))[0]
    differs = (found != answer_of(graph)[0]).any(axis=3)[0]
    border = np.zeros((8, 8), bool)
    border[3:5], border[:, 3:5] = True, True
    assert differs.any()
    assert not differs[~border].any()
    missing = TileExecutor(problem, plan, {1: Near(graph, fails=1)}, zero_fill=True)
    zeroed = missing.run(inputs_of(graph))[0]
    lost = [tile.boxes[-1][1] for tile in plan.steps[0].tiles if tile.device == 1]
    for (top, bottom), (left, right) in lost:
        assert (zeroed[0, top:bottom, left:right] == -5).all()


@pytest.mark.parametrize("name", sorted(TILE_ALGORITHMS))
def test_a_lost_worker_never_loses_an_answer(name: str) -> None:
    graph = graph_of("digits")
    problem = problem_of(graph, 3)
    plan = plan_tiles(name, problem)
    whole = TileExecutor(problem, plan, {1: Near(graph), 2: Near(graph)})
    expected = whole.run(inputs_of(graph))
    if name != "adcnn":
        assert_same(expected, answer_of(graph))
    for fails in ((1, None), (None, 2), (2, 3), (1, 1)):
        hosts = {number: Near(graph, at) for number, at in enumerate(fails, 1)}
        executor = TileExecutor(problem, plan, hosts)
        for _ in range(3):
            assert_same(executor.run(inputs_of(graph)), expected)
        if any(host.fails is not None and host.tasks >= host.fails for host in hosts.values()):
            assert "without worker" in executor.remarks[0]


def test_idle_devices_take_tiles_of_those_that_have_many() -> None:
    graph = graph_of("digits")
    problem = problem_of(graph, 2, grid=(4, 4), layers=3, reuse=False)
    plan = plan_tiles("deepthings", problem)
    tiles = tuple(Tile(1, tile.boxes) for tile in plan.steps[0].tiles)  # all in one queue
    all_on_one = type(plan)(
        **{**vars(plan), "steps": (type(plan.steps[0])(tiles), *plan.steps[1:])}
    )
    executor = TileExecutor(problem, all_on_one, {1: Slow(graph)})
    executor._workers[1].executor = executor  # type: ignore[attr-defined]
    assert_same(executor.run(inputs_of(graph)), answer_of(graph))
    assert executor.made[0] > 1  # the rest of the model, and tiles


class Slow(Near):
    """Takes its time until the gateway has made a tile; a hang ends it."""

    executor: TileExecutor

    def run(
        self, frame: str, task: Task, given: Sequence[Piece], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        ends = time.monotonic() + 120
        while not self.executor.made.get(0) and time.monotonic() < ends:
            time.sleep(0.01)
        return super().run(frame, task, given, values)


def test_workers_behind_grpc_and_the_death_of_one() -> None:
    graph = graph_of("digits")
    expected = answer_of(graph)
    program = compile_graph(graph)
    processes = [ServerProcess(program) for _ in range(2)]
    try:
        problem = problem_of(graph, 3)
        executors = [
            TileExecutor(problem, plan_tiles(name, problem), {
                number: connect(graph, process.address, process.model, deadline_s=60)
                for number, process in enumerate(processes, 1)
            })
            for name in ("modnn", "aofl", "coedge", "deepthings")
        ]  # fmt: skip
        for executor in executors:
            assert_same(executor.run(inputs_of(graph)), expected)
            assert "without" not in executor.remarks[0]
        processes[0].process.send_signal(signal.SIGKILL)
        processes[0].process.wait()
        for executor in executors:
            assert_same(executor.run(inputs_of(graph)), expected)
            executor.close()
    finally:
        for process in processes:
            process.stop()


def test_a_worker_refuses_what_is_no_task_of_its_model() -> None:
    graph = graph_of("digits")
    server = ModelServer(graph, "digits")
    server.start()
    try:
        worker = connect(graph, server.address, "digits", deadline_s=60)
        out = graph.nodes[0].outputs[0]
        box = ((0, 2), (0, 2))
        for task in (
            Task(((99, box),)),
            Task(((0, ((0, 99), (0, 2))),)),
            Task(((0, ((2, 1), (0, 2))),)),
            Task(((3, box), (1, box))),
            Task(((0, box),), give=((graph.inputs[0], box),)),
            Task(((0, box),), give=((out, ((0, 9), (0, 9))),)),
            Task(((0, box),), give=((out, box),)),
            Task(((len(graph.nodes) - 1, box),)),
        ):
            with pytest.raises(WorkerError) as refused:
                worker.run("frame", task, [], [])
            assert "\n" not in str(refused.value)
        other = connect(graph_of("resnet"), server.address, "digits", deadline_s=60)
        with pytest.raises(WorkerError, match="give both the same model file"):
            other.run("frame", Task(((0, box),)), [], [])
        worker.close()
        other.close()
    finally:
        server.stop()


def test_hostile_texts_are_refused_in_one_sentence() -> None:
    geometry = Geometry(graph_of("digits"))
    draw = random.Random(0)
    good = Task(((0, ((0, 2), (0, 2))),)).text()
    for text in (
        "",
        "[",
        "[[[0]]]",
        "[" * 5000,
        "null",
        "[1,2,3,4]",
        '[[["a",[[0,1],[0,1]]]],[],[],0]',
    ):
        with pytest.raises(InputError):
            Task.read(text, geometry)
        with pytest.raises(InputError):
            read_pieces(text or "{", geometry)
    for _ in range(500):
        at = draw.randrange(len(good))
        bent = good[:at] + draw.choice("0123456789-,[]x") + good[at + 1 :]
        try:
            Task.read(bent, geometry)
        except InputError as error:
            assert "\n" not in str(error)


def test_an_inference_can_leave_no_more_than_its_tensors_with_a_worker() -> None:
    graph = graph_of("digits")
    host = TileHost(graph)
    box = host.runner.geometry.whole[graph.inputs[0]]
    made = host.runner.geometry.whole[graph.nodes[0].outputs[0]]
    task = Task(((0, made),), keep=(graph.nodes[0].outputs[0],))
    with pytest.raises(InputError, match="more than its tensors take"):
        for _ in range(10_000):
            host.run("one", task, [(graph.inputs[0], box)], inputs_of(graph))
    for number in range(50):
        host.run(str(number), task, [(graph.inputs[0], box)], inputs_of(graph))
    assert len(host._frames) <= 8


def test_a_plan_needs_its_workers_and_models_with_state_are_refused() -> None:
    graph = graph_of("digits")
    problem = problem_of(graph, 3)
    with pytest.raises(TargetError, match="device 2, which is no worker"):
        TileExecutor(problem, plan_tiles("aofl", problem), {1: Near(graph)})
    stateful = rewrite(read_model(b.lstm()), Options())
    with pytest.raises(TargetError, match="with state can't be split in tiles"):
        problem_of(stateful, 2)
