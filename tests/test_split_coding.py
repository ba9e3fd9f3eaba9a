"""Coded tensors: the same bits where a coding is lossless, bounded errors where not, no bombs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")
pytest.importorskip("lz4.block", reason="coding needs lz4 (midge[split])")

import lz4.block
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded_model import SeededModel

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, MidgeError, TargetError
from midge.runtime.graph import DTYPES, Quantization, Tensor
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.runtime.program import Program
from midge.targets.split.client import EdgeClient, LinkError
from midge.targets.split.coder import Coder, Frames
from midge.targets.split.coding import CODINGS, LOSSLESS, RUNS, decode, encode, find_coding
from midge.targets.split.coding_costs import CodingCost, choose, measure_codings
from midge.targets.split.costs import Profile, costs_of, wire_bytes
from midge.targets.split.cut import cut_at
from midge.targets.split.executor import SplitExecutor
from midge.targets.split.planners import Link, Problem, evaluate, plan
from midge.targets.split.planners.exact import closed_sets
from midge.targets.split.server import ModelServer
from midge.tools.cli import parse_and_run
from midge.tools.split_coding import try_cuts
from midge.tools.zoo import OWN, find_model

DIGITS = OWN / "digits.tflite"


def tensor_of(dtype: str, shape: tuple[int, ...], zero: int = 0) -> Tensor:
    made = Quantization(np.array([0.5], np.float32), np.array([zero]))
    return Tensor(0, "t", shape, dtype, None if dtype in ("bool", "binary") else made)


def values_of(tensor: Tensor, sparsity: float, seed: int) -> np.ndarray:
    """Random bits, a share of them the zero point."""
    draw, dtype = np.random.default_rng(seed), DTYPES[tensor.dtype]
    if dtype == np.bool_:
        return draw.random(tensor.shape) > sparsity
    values = np.frombuffer(draw.bytes(tensor.bytes), dtype).reshape(tensor.shape).copy()
    zero = tensor.zero_point if tensor.quantization and dtype.kind in "iu" else 0
    values[draw.random(tensor.shape) < sparsity] = zero
    return values


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(LOSSLESS),
    dtype=st.sampled_from(["int8", "uint8", "int16", "int32", "float32", "bool", "binary"]),
    shape=st.lists(st.integers(1, 17), min_size=1, max_size=4).map(tuple),
    sparsity=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    seed=st.integers(0, 999),
)
def test_lossless_codings_keep_every_bit(name, dtype, shape, sparsity, seed) -> None:  # type: ignore[no-untyped-def]
    tensor = tensor_of(dtype, shape, 0 if dtype == "uint8" else -7)
    value, base = values_of(tensor, sparsity, seed), values_of(tensor, sparsity, seed + 1)
    for before in (None, base):
        back = decode(name, encode(name, value, tensor, before), tensor, before)
        assert back.dtype == value.dtype and back.shape == value.shape
        assert back.tobytes() == value.tobytes()  # NaNs and signs of zero included


def test_a_mask_takes_runs_where_they_are_shorter() -> None:
    tensor = tensor_of("int8", (40_000,), -128)
    value = np.full(40_000, -128, np.int8)
    value[100:140] = np.arange(40)
    content = encode("mask", value, tensor)
    assert content[:1] == RUNS and len(content) == 1 + 4 + 3 * 2 + 40
    np.testing.assert_array_equal(decode("mask", content, tensor), value)
    value[::2] = 5
    assert len(encode("mask", value, tensor)) == 1 + 5000 + np.count_nonzero(value != -128)


@pytest.mark.parametrize(("name", "levels"), [("u8", 255), ("u4", 15)])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_linear_codes_are_within_half_a_step(name: str, levels: int, dtype: str) -> None:
    assert not CODINGS[name].lossless
    tensor = tensor_of(dtype, (3, 5, 7))
    value = (np.random.default_rng(3).normal(0, 900, tensor.shape)).astype(dtype)
    content = encode(name, value, tensor)
    assert len(content) == 16 + (105 if name == "u8" else 53)
    step = (float(value.max()) - float(value.min())) / levels
    error = np.abs(decode(name, content, tensor).astype(float) - value.astype(float))
    assert error.max() <= step / 2 + (0 if dtype == "float32" else 0.5) + 1e-3


def test_what_a_coding_does_not_take_is_a_sentence() -> None:
    with pytest.raises(TargetError, match="coding u8 is for int16, int32, float32"):
        find_coding("u8", tensor_of("int8", (4,)))
    with pytest.raises(TargetError, match="there is no coding 'zip'"):
        Coder("zip")
    infinite = np.array([1.0, np.inf], np.float32)
    with pytest.raises(TargetError, match="no finite limits"):
        encode("u4", infinite, tensor_of("float32", (2,)))


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(CODINGS)),
    dtype=st.sampled_from(["int8", "int16", "float32"]),
    content=st.binary(max_size=80),
    cut=st.integers(0, 60),
    seed=st.integers(0, 99),
)
def test_bad_contents_are_refused_or_decoded_to_the_tensors_size(  # type: ignore[no-untyped-def]
    name, dtype, content, cut, seed
) -> None:
    tensor = tensor_of(dtype, (3, 7))
    good = encode("raw", values_of(tensor, 0.5, seed), tensor)
    for hostile in (content, good[:cut] + content):
        try:
            assert decode(name, hostile, tensor).nbytes == tensor.bytes
        except InputError:
            pass


def bombs(elements: int) -> dict[str, bytes]:
    """A few bytes that say they are gigabytes."""
    full = lz4.block.compress(bytes(1 << 24), store_size=False)
    assert len(full) < 1 << 17
    runs = struct.pack("<I", 200) + np.full(200, 65535, "<u2").tobytes()
    return {"lz4": full, "difference": full, "mask": RUNS + runs, "u4": bytes(16 + elements)}


def test_bombs_are_refused_before_they_are_made() -> None:
    tensor = tensor_of("int8", (1, 10, 10, 3))
    for name, content in bombs(tensor.elements).items():
        with pytest.raises(InputError, match=r"tensor 't'"):
            decode(name, content, tensor)
    with pytest.raises(InputError, match="coded bytes don't hold"):
        decode("mask", RUNS + struct.pack("<I", 0xFFFFFFFF), tensor)


# ---- over the wire ----


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(rewrite(read_model(DIGITS), Options()))


@pytest.fixture(scope="module")
def server(program: Program) -> Iterator[ModelServer]:
    served = ModelServer(program.graph, "digits")
    served.start()
    yield served
    served.stop()


def digits() -> np.ndarray:
    return np.load(OWN / "digits_inputs.npy")


@pytest.mark.parametrize("name", ["auto", *LOSSLESS])
def test_coded_cuts_give_the_same_bits(name: str, program: Program, server: ModelServer) -> None:
    graph = program.graph
    whole = find_backend("host").build(program)
    client = EdgeClient(server.address, "digits", deadline_s=120)
    for position in (0, 2, 7):
        cut = cut_at(graph, position)
        executor = SplitExecutor(graph, cut, client, coder=Coder(name))
        for image in digits()[:3]:
            answer = executor.run([image[None]])[0]
            np.testing.assert_array_equal(answer, whole.run([image[None]])[0])
            assert executor.exchange is not None and executor.exchange.error is None
        if name == "auto":
            assert executor.exchange.sent_bytes < cut.sent_bytes
        assert len(executor.remarks) == 1
        executor.close_parts()
    client.close()


def test_a_lossy_coding_says_so(program: Program, server: ModelServer) -> None:
    client = EdgeClient(server.address, "digits", deadline_s=120)
    executor = SplitExecutor(program.graph, cut_at(program.graph, 5), client, coder=Coder("u4"))
    executor.run([digits()[:1]])
    assert executor.exchange.sent_bytes == 16 + executor.cut.sent_bytes // 2  # type: ignore[union-attr]
    assert "lossy" in executor.remarks[1]
    executor.close()


def test_a_server_refuses_a_bomb_with_a_status(program: Program, server: ModelServer) -> None:
    client = EdgeClient(server.address, "digits", deadline_s=120)
    cut = cut_at(program.graph, 1)
    tensor = cut.tail.tensors[cut.sent[0]]
    for name, content in bombs(tensor.elements).items():
        coder = Coder(name)
        coded = coder.encode([tensor], [np.zeros(tensor.shape, np.int8)])
        coder.encode = lambda *_, c=content, made=coded: replace(made, contents=[c])  # type: ignore
        with pytest.raises(LinkError) as refused:
            client.infer(cut, [np.zeros(tensor.shape, np.int8)], coder=coder)
        assert refused.value.code == "invalid argument"
        assert "tensor" in str(refused.value)
    client.close()


def test_a_frame_that_the_server_forgot_is_sent_whole(
    program: Program, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server loses its frames between two requests: the answer comes all the same, from it."""
    client = EdgeClient(server.address, "digits", deadline_s=120)
    executor = SplitExecutor(program.graph, cut_at(program.graph, 0), client,
                             coder=Coder("difference"))  # fmt: skip
    expected = find_backend("host").build(program)
    sizes = []
    for number in (1, 1, 1, 2):
        if len(sizes) == 2:
            monkeypatch.setattr(server.service, "_frames", Frames())
        inputs = [digits()[number : number + 1]]
        np.testing.assert_array_equal(executor.run(inputs)[0], expected.run(inputs)[0])
        assert executor.exchange is not None and executor.exchange.error is None
        sizes.append(executor.exchange.sent_bytes)
    assert sizes[1] < sizes[0] // 10, "nothing has changed since the frame before"
    assert sizes[2] == sizes[0], "a whole frame, since the server knew none"
    executor.close()


def test_the_frames_that_a_server_remembers_are_bounded() -> None:
    frames = Frames(streams=3, size=1000)
    value = np.zeros(300, np.uint8)
    for number in range(50):
        frames.keep(f"s{number}", [value])
        assert frames.bytes <= 900
    with pytest.raises(TargetError, match="send one that stands alone"):
        frames.base("s0", 0)
    frames.keep("large", [np.zeros(5000, np.uint8)])
    assert frames.bytes == 0


# ---- in plans ----


def coded_problem(graph, draw: np.random.Generator) -> Problem:  # type: ignore[no-untyped-def]
    even = Profile(graph.sha256, "", tuple(float(k) for k in range(len(graph.nodes) + 1)))
    coded = {
        t: CodingCost("lz4", int(draw.integers(1, 900)), *draw.random(2) * 3) for t in graph.tensors
    }
    link = Link.of(float(draw.uniform(0.1, 20)), 1.0)
    return Problem(costs_of(graph, even.scaled(3.0), even, coded), link, server_load=1.5)


def test_plans_with_codings_equal_brute_force(program: Program) -> None:
    for seed in range(10):
        problem = coded_problem(program.graph, np.random.default_rng(seed))
        sets = closed_sets(problem.costs)
        least = min(evaluate(problem, device).latency_ms for device in sets)
        for name in ("auto", "dads", "qdmp", "cic"):
            assert plan(name, problem).stages.latency_ms == pytest.approx(least), (seed, name)
        points = problem.costs.single_cuts
        least = min(evaluate(problem, frozenset(range(p))).latency_ms for p in points)
        assert plan("neurosurgeon", problem).stages.latency_ms == pytest.approx(least)
        found = plan("jointdnn", problem).evidence["predicted_ms"]
        assert found <= least + 1e-9
        within = replace(problem, objective="throughput")
        least = min(evaluate(within, device).period_ms for device in sets)
        assert plan("auto", within).stages.period_ms == pytest.approx(least)


def test_a_coding_is_taken_where_it_pays(program: Program) -> None:
    measured = {3: (CodingCost("raw", 1000), CodingCost("lz4", 100, 2.0, 1.0))}
    assert choose(measured, 100.0, 1.0, 1.0)[3].name == "lz4"  # 10 ms against 1 + 2 + 1
    assert choose(measured, 1000.0, 1.0, 1.0)[3].name == "raw"
    assert choose(measured, 100.0, 5.0, 1.0)[3].name == "raw"  # a slow device codes slowly
    frames = [[image[None]] for image in digits()[:2]]
    costs = measure_codings(program.graph, frames)
    index = program.graph.inputs[0]
    names = [cost.name for cost in costs[index]]
    assert names == list(LOSSLESS)
    assert costs[index][0] == CodingCost("raw", 784)
    assert costs[index][1].bytes < 784
    single = measure_codings(program.graph, frames[:1])
    assert "difference" not in [cost.name for cost in single[index]]
    with pytest.raises(TargetError, match="at least two frames"):
        measure_codings(program.graph, frames[:1], ["difference"])


def test_the_plan_verb_prices_codings(program: Program, tmp_path) -> None:  # type: ignore[no-untyped-def]
    graph = program.graph
    times = tuple(float(k) for k in range(len(graph.nodes) + 1))
    Profile(graph.sha256, "even", times).save(tmp_path / "even.json")
    np.save(tmp_path / "frames.npy", digits()[:3])
    asked = ["split", "plan", str(DIGITS), "--device-profile", str(tmp_path / "even.json"),
             "--server-profile", str(tmp_path / "even.json"), "--device-slowdown", "1000",
             "--mbit", "0.05", "--delay-ms", "0", "--max-device-bytes", "0",
             "--samples", str(tmp_path / "frames.npy")]  # fmt: skip
    raw, auto = parse_and_run(asked), parse_and_run([*asked, "--coding", "auto"])
    assert raw["coding"] == [] and raw["bytes"] == wire_bytes(graph, graph.inputs[0])
    assert auto["coding"][0]["coding"] in ("lz4", "mask") and auto["coding"][0]["lossless"]
    assert auto["bytes"] < raw["bytes"]
    assert auto["link_ms"] < raw["link_ms"]
    assert auto["device_ms"] == auto["coding"][0]["encode_ms"]
    lossy = parse_and_run([*asked, "--coding", "u4"])
    assert not lossy["coding"][0]["lossless"]
    assert json.dumps(lossy)


@pytest.mark.parametrize("model", ["kws_ref_model", "pretrainedResnet_quant"])
def test_models_of_others_give_the_same_bits(model: str) -> None:
    """Two cuts each; `python -m midge.tools.split_coding MODEL...` tries them all."""
    try:
        find_model(model)
    except MidgeError as error:
        pytest.skip(str(error))
    tried = try_cuts(model, [3, 9])
    assert tried["runs"] == tried["equal"] == 24
    assert tried["alone"] == 0
    assert tried["bytes"]["mask"] < tried["bytes"]["raw"]


def bottleneck() -> bytes:
    """A trunk with BottleNet++'s encoder (strided convolution) and decoder (transposed) in it."""
    model = SeededModel("int8", 7)
    same = {"padding": "SAME"}
    x = model.activation((1, 16, 16, 4))
    read, depths = [x], {x: 4}

    def conv(size: int, filters: int, stride: int) -> None:
        depth = depths[read[-1]]
        weights, scales = model.weights((filters, 3, 3, depth), 0, True)
        y = model.activation((1, size, size, filters), model.sum_scale(9 * depth))
        operands = [read[-1], weights, model.bias(filters, scales, 9 * depth)]
        model.node("CONV_2D", operands, [y], stride_h=stride, stride_w=stride, **same)
        depths[y] = filters
        read.append(y)

    conv(16, 12, 1)
    conv(8, 2, 2)  # encoder: 128 bytes
    weights, scales = model.weights((12, 3, 3, 2), 0, True)
    y = model.activation((1, 16, 16, 12), model.sum_scale(18))
    operands = [model.constant((1, 16, 16, 12)), weights, read[-1], model.bias(12, scales, 18)]
    model.node("TRANSPOSE_CONV", operands, [y], stride_h=2, stride_w=2, **same)
    depths[y] = 12
    read.append(y)
    conv(16, 12, 1)
    return model.build([x], [read[-1]])


def test_a_learned_code_is_a_cut_in_the_middle_of_the_bottleneck() -> None:
    """Its encoder and decoder are ordinary nodes of the model: the planner finds the code."""
    graph = compile_graph(rewrite(read_model(bottleneck()), Options())).graph
    device = Profile(graph.sha256, "", (0.0, 1.0, 2.0, 50.0, 100.0))
    problem = Problem(costs_of(graph, device, device.scaled(0.1)), Link.of(0.5, 1.0))
    found = plan("auto", problem)
    assert found.cut == 2, "behind the encoder, before the decoder"
    cut = cut_at(graph, 2)
    assert cut.sent_bytes == 8 * 8 * 2  # C' x H / s x W / s x 8 bits
    served = ModelServer(graph, "bottleneck")
    served.start()
    client = EdgeClient(served.address, "bottleneck", deadline_s=120)
    executor = SplitExecutor(graph, cut, client, coder=Coder("lz4"))
    x = np.random.default_rng(0).integers(-128, 128, (1, 16, 16, 4), dtype=np.int8)
    expected = find_backend("host").build(compile_graph(graph)).run([x])[0]
    np.testing.assert_array_equal(executor.run([x])[0], expected)
    assert executor.exchange is not None and executor.exchange.error is None
    executor.close()
    served.stop()


def test_bad_samples_are_a_sentence(tmp_path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "bad.npy", np.zeros((2, 5)))
    with pytest.raises(InputError, match=r"inputs \[n, 1, 28, 28, 1\] are needed"):
        parse_and_run(["split", "plan", str(DIGITS), "--coding", "lz4",
                       "--samples", str(tmp_path / "bad.npy")])  # fmt: skip
