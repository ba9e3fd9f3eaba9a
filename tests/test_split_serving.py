"""Serving: requests that run together, an honest "busy", what is agreed first, hostile peers."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import build_onnx
import build_tflite as b
import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

import grpc

from midge.runtime.backend import find_backend
from midge.runtime.errors import GraphError, MissingTool
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.runtime.program import Program
from midge.runtime.program_file import VERSION
from midge.runtime.rounding import in_fixed_point
from midge.sim.qemu import find_tool
from midge.targets.split import ray_server
from midge.targets.split.backend import ServerProcess
from midge.targets.split.client import EdgeClient, LinkError
from midge.targets.split.coder import Coder
from midge.targets.split.cut import cut_at
from midge.targets.split.executor import SplitExecutor
from midge.targets.split.protocol import AGREE, METHODS, SERVICE, messages
from midge.targets.split.server import Credentials, ModelServer
from midge.targets.split.tail import Busy, Tail, with_batch
from midge.tools.cli import parse_and_run
from midge.tools.zoo import OWN

ROOT = Path(__file__).resolve().parent.parent
DIGITS = OWN / "digits.tflite"
LONG = 60.0  # seconds: only a hang takes as long


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(rewrite(read_model(DIGITS), Options()))


@pytest.fixture(scope="module")
def digits() -> list[np.ndarray]:
    images = np.load(OWN / "digits_inputs.npy")
    return [images[i % len(images)][None] for i in range(16)]


# ---- requests together -------------------------------------------------------------------------


def test_a_batch_has_the_bits_of_single_runs(program: Program, digits: list[np.ndarray]) -> None:
    for position in (0, 6, 11):
        cut = cut_at(program.graph, position)
        head = find_backend("host").build(compile_graph(cut.head))
        shapes = [cut.tail.tensors[t].shape for t in cut.sent]
        crossing = [head.run([x]) if position else [x] for x in digits[:4]]
        assert [v.shape for v in crossing[0]] == shapes
        tail = Tail(cut.tail, most=4)
        alone = [tail.run(values).answers for values in crossing]
        tail.prepare()
        assert tail.most == 4
        together = together_in(tail, crossing)
        assert {job.together for job in together} == {4}
        for job, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(job.answers[0], expected[0])


def together_in(tail: Tail, requests: list[list[np.ndarray]]) -> list[Any]:
    """Requests that all wait before the first of them runs."""
    with ThreadPoolExecutor(len(requests)) as pool:
        with tail._running:
            asked = [pool.submit(tail.run, values) for values in requests]
            until(lambda: len(tail._waiting) == len(requests))
        return [one.result(LONG) for one in asked]


def until(condition: Any) -> None:
    ends = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


def test_what_mixes_a_batch_runs_alone() -> None:
    graph = rewrite(read_model(b.lstm()), Options())
    with pytest.raises(GraphError):
        with_batch(graph, 4)
    first = rewrite(read_model(b.conv2d()), Options())
    mixed = replace(first.nodes[0], op="transpose")
    with pytest.raises(GraphError, match="isn't known to treat each image"):
        with_batch(replace(first, nodes=(mixed,)), 4)


def test_a_tail_that_can_not_be_batched_still_answers(program: Program) -> None:
    graph = rewrite(read_model(b.conv2d()), Options())
    tail = Tail(replace(graph, nodes=graph.nodes), most=4)
    tail.graph = Graph((), {}, (99,), ())  # nothing can be made of this
    tail.prepare()
    assert tail.most == 1
    x = np.zeros(graph.tensors[graph.inputs[0]].shape, np.int8)
    assert [job.together for job in together_in(tail, [[x], [x]])] == [1, 1]


def test_busy_is_said_at_once_and_honestly(program: Program, digits: list[np.ndarray]) -> None:
    tail = Tail(program.graph)
    tail.run([digits[0]])
    tail._expected_s = 100.0  # as if each took so long
    with pytest.raises(Busy, match="busy: 0 requests wait here and need about 100000 ms"):
        tail.run([digits[0]], time.monotonic() + 50.0)
    with pytest.raises(Busy, match="the deadline leaves 0"):
        tail.run([digits[0]], time.monotonic() - 1.0)
    assert tail.run([digits[0]]).done


def test_a_request_whose_deadline_passed_in_the_queue_is_not_computed(
    program: Program, digits: list[np.ndarray]
) -> None:
    tail = Tail(program.graph)
    with ThreadPoolExecutor(1) as pool:
        with tail._running:
            ends = time.monotonic() + 0.2
            asked = pool.submit(tail.run, [digits[0]], ends)
            until(lambda: time.monotonic() > ends)
        with pytest.raises(Busy):
            asked.result(LONG)


def test_a_busy_server_leaves_the_answer_to_the_device(
    program: Program, digits: list[np.ndarray]
) -> None:
    served = ModelServer(program.graph, "digits")
    served.start()
    cut = cut_at(program.graph, 0)
    client = EdgeClient(served.address, "digits", LONG)
    executor = SplitExecutor(program.graph, cut, client)
    expected = executor.run([digits[0]])[0]
    (tail,) = served.service._tails.values()
    tail._expected_s = 1e6
    np.testing.assert_array_equal(executor.run([digits[0]])[0], expected)
    assert "resource exhausted: busy: 0 requests wait here" in executor.remarks[0]
    executor.close()
    served.stop()


# ---- what is agreed before the first tensor ----------------------------------------------------


@pytest.fixture
def served(program: Program) -> Iterator[ModelServer]:
    server = ModelServer(program.graph, "digits", most=4)
    server.start()
    yield server
    server.stop()


def test_what_is_said_first(served: ModelServer, program: Program) -> None:
    """Digest, program version and cut; each that is not the server's is refused in a sentence."""
    client = EdgeClient(served.address, "digits", LONG)
    asked = messages.ModelMetadataRequest(name="digits")
    digest = program.graph.sha256

    def agree(said: str) -> Any:
        return client._call("ModelMetadata", asked, None, [(AGREE, said)])

    answer = agree(f"{digest} {VERSION} 0-5")
    wanted = cut_at(program.graph, 6)
    assert [t.name for t in answer.inputs] == [program.graph.tensors[t].name for t in wanted.sent]
    for said, why in (
        (f"{'0' * 64} {VERSION} 0-5", "give both the same model file"),
        (f"{digest} 3 0-5", "programs of version '3', this server of"),
        (f"{digest} {VERSION} 5", "can't be on the device"),
        (f"{digest} {VERSION} x", "a cut is rising ranges"),
        ("", "give both the same model file"),
    ):
        with pytest.raises(LinkError, match=re.escape(why)):
            agree(said)
    client.close()


def test_a_model_from_onnx_is_rounded_as_the_device_does() -> None:
    """A server has floats, a microcontroller has not: the tail has the bits of the device."""
    pytest.importorskip("onnxruntime", reason="quantizing an ONNX model needs onnxruntime")
    floats = rewrite(read_model(build_onnx.qdq_separable()), Options())
    whole = in_fixed_point(floats)
    inputs = np.random.default_rng(0).normal(0, 1, (3, *floats.tensors[floats.inputs[0]].shape))
    answers = {}
    for served in (floats, whole):
        server = ModelServer(served, "model")
        server.start()
        client = EdgeClient(server.address, "model", LONG)
        for device in (floats, whole):
            split = SplitExecutor(device, cut_at(device, 2), client)
            local = find_backend("host").build(compile_graph(device))
            refused = served is whole and device is floats
            for number, x in enumerate(inputs.astype(np.float32)):
                answers[number, device is whole] = local.run([x])[0]
                np.testing.assert_array_equal(split.run([x])[0], local.run([x])[0])
                told = split.exchange
                if refused:  # once, and then not asked for a while
                    assert told is None or "serve the .onnx file itself" in str(told.error)
                else:
                    assert told is not None and told.error is None
        client.close()
        server.stop()
    assert any(not np.array_equal(answers[n, True], answers[n, False]) for n in range(len(inputs)))


def test_a_server_of_another_tail_gets_no_tensor(program: Program) -> None:
    """Servers that don't know cuts say what they take: it must be what crosses."""
    other = ModelServer(cut_at(program.graph, 6).tail, "tail")
    other.start()
    client = EdgeClient(other.address, "tail", LONG, checked=False)
    with pytest.raises(LinkError, match=r"give it the tail of this cut|can't be on the device"):
        client.infer(cut_at(program.graph, 3), [np.zeros((1, 14, 14, 32), np.int8)])
    client.close()
    other.stop()


# ---- hostile peers -----------------------------------------------------------------------------

KINDS = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL", "OK"}


def hostile(noise: random.Random, request: Any, largest: int) -> bytes:
    """A request that was changed somewhere, bytes that are none, or too many of them."""
    content = bytearray(request.SerializeToString())
    kind = noise.randrange(5)
    if kind == 0:
        return noise.randbytes(noise.randrange(300))
    if kind == 1:
        return bytes(noise.choice((largest, largest + 1, 2 * largest)))
    for _ in range(noise.randrange(1, 8)):
        at = noise.randrange(len(content))
        if kind == 2:
            content[at] ^= 1 << noise.randrange(8)
        elif kind == 3:
            content[at : at + noise.randrange(40)] = noise.randbytes(noise.randrange(40))
        else:
            del content[at:]
            break
        if not content:
            break
    return bytes(content)


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def test_noise_gets_status_codes_and_costs_no_memory(
    program: Program, digits: list[np.ndarray]
) -> None:
    server, noise = ServerProcess(program), random.Random(8)
    client = EdgeClient(server.address, server.model, LONG)
    cut = cut_at(program.graph, 6)
    head = find_backend("host").build(compile_graph(cut.head))
    crossing = head.run([digits[0]])
    tensors = [cut.tail.tensors[t] for t in cut.sent]

    request = client._request(cut, tensors, crossing, Coder())
    expected = client.infer(cut, crossing)[0]
    largest = ModelServer(program.graph, "x").service.most_bytes
    seen, before = set(), 0.0
    with grpc.insecure_channel(server.address) as channel:
        for number in range(400):
            method = "ModelInfer" if number % 4 else noise.choice(METHODS)
            call = channel.unary_unary(f"/{SERVICE}/{method}")
            said = [(AGREE, noise.choice(["x", "0" * 900, "a b c d", " "]))] if number % 3 else []
            try:
                call(hostile(noise, request, largest), timeout=LONG, metadata=said)
                seen.add("OK")
            except grpc.RpcError as error:
                seen.add(error.code().name)
            if number == 100:
                before = resident_mb(server.pid)
    host, _, port = server.address.rpartition(":")
    for _ in range(20):  # bytes that aren't even HTTP/2
        with socket.create_connection((host, int(port)), LONG) as raw:
            raw.sendall(noise.randbytes(2000))
    assert seen <= KINDS, seen
    assert {"INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL"} <= seen
    assert resident_mb(server.pid) - before < 30
    np.testing.assert_array_equal(client.infer(cut, crossing)[0], expected)
    client.close()
    server.stop()


def test_no_message_may_be_larger_than_the_model_needs(program: Program) -> None:
    graph = program.graph
    service = ModelServer(graph, "x").service
    everything = sum(t.bytes for i, t in graph.tensors.items() if graph.is_activation(i))
    assert everything < service.most_bytes < everything * 2 + (64 << 10)


# ---- certificates ------------------------------------------------------------------------------


def commands() -> str:
    """The shell commands of docs/serving.md that make certificates."""
    page = (ROOT / "docs" / "serving.md").read_text()
    return re.findall(r"```sh\n(.*?)```", page, re.S)[0]


def test_the_documented_certificates_work(
    program: Program, digits: list[np.ndarray], tmp_path: Path
) -> None:
    find_tool("openssl")
    made = subprocess.run(
        ["sh", "-e"], input=commands(), cwd=tmp_path, text=True, capture_output=True, timeout=LONG
    )
    assert made.returncode == 0, made.stderr

    names = [tmp_path / f for f in ("server.pem", "server.key", "authority.pem")]
    server = ModelServer(program.graph, "digits", credentials=Credentials(*names))
    server.start()
    where = ["--server", server.address, "--name", "digits", "--deadline", str(LONG)]
    files = [("certificate", "device.pem"), ("key", "device.key")]
    files += [("server-authority", "authority.pem")]
    tls = [word for name, file in files for word in (f"--{name}", str(tmp_path / file))]
    answer = parse_and_run(["split", "run", str(DIGITS), "--cut", "6", *where, *tls])
    assert "bytes sent" in answer["remarks"][0]
    refused = parse_and_run(["split", "run", str(DIGITS), "--cut", "6", *where, "--insecure"])
    assert "the device answered alone" in refused["remarks"][0]
    assert refused["output_sha256"] == answer["output_sha256"]
    server.stop()


def test_a_missing_ray_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingTool, match=r"pip install midge\[ray\]"):
        ray_server.RayService(DIGITS, "digits", ray_server.Scale(2))
    assert ray_server.Scale(2).options() == {"num_replicas": 2}
    assert ray_server.Scale(1, 4).options()["autoscaling_config"]["max_replicas"] == 4


def test_many_at_once_share_runs(served: ModelServer, program: Program) -> None:
    images = np.load(OWN / "digits_inputs.npy")
    local = find_backend("host").build(program)
    cut, wrong = cut_at(program.graph, 0), []

    def device(number: int) -> None:
        client = EdgeClient(served.address, "digits", LONG)
        for i in range(number, number + 6):
            x = images[i % len(images)][None]
            if not np.array_equal(client.infer(cut, [x])[0], local_answer(x)):
                wrong.append(i)
        client.close()

    lock = threading.Lock()

    def local_answer(x: np.ndarray) -> np.ndarray:
        with lock:
            return local.run([x])[0]

    with ThreadPoolExecutor(8) as pool:
        for asked in [pool.submit(device, number) for number in range(8)]:
            asked.result(LONG)
    assert not wrong
