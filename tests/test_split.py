"""A cut model gives the same bits, over every cut, and whatever happens to the server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.errors import MidgeError, TargetError
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.runtime.program import Program
from midge.targets.split.backend import ServerProcess, middle_cut
from midge.targets.split.client import ClientCredentials, EdgeClient, LinkError
from midge.targets.split.cut import cut_at, legal_cuts
from midge.targets.split.executor import SplitExecutor
from midge.targets.split.protocol import messages
from midge.targets.split.server import Credentials, ModelServer
from midge.tools.cli import parse_and_run
from midge.tools.zoo import OWN

DIGITS = OWN / "digits.tflite"


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(rewrite(read_model(DIGITS), Options()))


@pytest.fixture(scope="module")
def inputs() -> list[np.ndarray]:
    return [np.load(OWN / "digits_inputs.npy")[6:7]]


@pytest.fixture(scope="module")
def expected(program: Program, inputs: list[np.ndarray]) -> np.ndarray:
    return find_backend("host").build(program).run(inputs)[0]


@pytest.fixture(scope="module")
def server(program: Program) -> Iterator[ModelServer]:
    served = ModelServer(program.graph, "digits")
    served.start()
    yield served
    served.stop()


def test_every_cut_gives_the_same_bits(program, inputs, expected, server) -> None:  # type: ignore[no-untyped-def]
    graph = program.graph
    assert legal_cuts(graph) == list(range(len(graph.nodes) + 1))
    for position in legal_cuts(graph):
        client = EdgeClient(server.address, "digits", deadline_s=60)
        executor = SplitExecutor(graph, cut_at(graph, position), client)
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        if position < len(graph.nodes):
            assert "bytes sent" in executor.remarks[0], executor.remarks
        executor.close()


def test_a_tensor_with_two_readers_crosses_once(program: Program) -> None:
    graph = program.graph  # node 0's output goes into a convolution and round it into the add
    cut = cut_at(graph, 1)
    assert cut.sent == graph.nodes[0].outputs
    assert cut_at(graph, 2).sent == (*graph.nodes[0].outputs, *graph.nodes[1].outputs)


def test_state_stays_on_the_device() -> None:
    graph = rewrite(read_model(b.lstm()), Options())
    assert legal_cuts(graph) == [2, 3]
    with pytest.raises(TargetError, match="nodes with state stay on the device"):
        cut_at(graph, 0)
    with pytest.raises(TargetError, match="can be cut before node 2 to 3, not before 7"):
        cut_at(graph, 7)


def split(program: Program, server: ServerProcess, deadline_s: float) -> SplitExecutor:
    client = EdgeClient(server.address, server.model, deadline_s)
    return SplitExecutor(program.graph, middle_cut(program.graph), client, server.stop)


def test_killing_the_server_loses_no_answer(program, inputs, expected) -> None:  # type: ignore[no-untyped-def]
    server = ServerProcess(program)
    executor = split(program, server, deadline_s=60)
    try:
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        assert "bytes sent" in executor.remarks[0]
        server.process.kill()
        server.process.wait()
        for _ in range(3):
            np.testing.assert_array_equal(executor.run(inputs)[0], expected)
            assert "the device answered alone" in executor.remarks[0]
    finally:
        executor.close()


def stop(server: ServerProcess) -> None:
    """Return when every thread of the server stands still: the signal alone says nothing."""
    server.process.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(server.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def test_killing_the_server_in_the_middle_of_a_request(program, inputs, expected) -> None:  # type: ignore[no-untyped-def]
    server = ServerProcess(program)
    executor = split(program, server, deadline_s=60)
    try:
        executor.run(inputs)
        stop(server)  # its kernel takes the request, and it never answers
        answers: list[np.ndarray] = []
        asking = threading.Thread(target=lambda: answers.append(executor.run(inputs)[0]))
        asking.start()
        asking.join(timeout=0.3)
        assert asking.is_alive()
        server.process.kill()
        asking.join(timeout=60)
        np.testing.assert_array_equal(answers[0], expected)
        assert "the device answered alone" in executor.remarks[0]
    finally:
        executor.close()


def test_a_silent_server_is_given_up_at_the_deadline(program, inputs, expected) -> None:  # type: ignore[no-untyped-def]
    server = ServerProcess(program)
    executor = split(program, server, deadline_s=0.5)
    try:
        stop(server)
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        assert "deadline exceeded" in executor.remarks[0]
    finally:
        executor.close()


def test_a_server_that_was_never_there(program, inputs, expected) -> None:  # type: ignore[no-untyped-def]
    graph = program.graph
    executor = SplitExecutor(graph, middle_cut(graph), EdgeClient("127.0.0.1:9", "digits", 60))
    np.testing.assert_array_equal(executor.run(inputs)[0], expected)
    assert "did not answer (unavailable" in executor.remarks[0]


def test_a_server_with_another_model_is_refused(inputs) -> None:  # type: ignore[no-untyped-def]
    ours, theirs = (rewrite(read_model(b.conv2d(seed=seed)), Options()) for seed in (0, 1))
    served = ModelServer(theirs, "conv")
    served.start()
    cut = cut_at(ours, 0)
    client = EdgeClient(served.address, "conv", 60)
    with pytest.raises(LinkError, match="give both the same model file"):
        client.infer(cut, [np.zeros((1, 8, 8, 3), np.int8)])
    served.stop()


def request(program: Program, inputs: list[np.ndarray]):  # type: ignore[no-untyped-def]
    tensor = program.inputs[0]
    message = messages.ModelInferRequest(
        model_name="digits", id="7", raw_input_contents=[inputs[0].tobytes()]
    )
    message.inputs.add(name=tensor.name, datatype="INT8", shape=tensor.shape)
    return message


def test_a_stock_client_asks_for_the_whole_model(program, inputs, expected, server) -> None:  # type: ignore[no-untyped-def]
    client = EdgeClient(server.address, "digits", deadline_s=60)
    answer = client._call("ModelInfer", request(program, inputs))
    assert answer.id == "7"
    assert answer.outputs[0].datatype == "INT8"
    assert answer.raw_output_contents[0] == expected.tobytes()
    assert client._call("ServerLive", messages.ServerLiveRequest()).live
    assert client._call("ServerReady", messages.ServerReadyRequest()).ready
    about = client._call("ModelMetadata", messages.ModelMetadataRequest(name="digits"))
    assert list(about.inputs[0].shape) == [1, 28, 28, 1]


def say(request, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    request.parameters[name].string_param = text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: setattr(r, "model_name", "cats"), "has the model 'digits', not 'cats'"),
        (lambda r: r.ClearField("raw_input_contents"), "1 tensors with raw contents are needed"),
        (lambda r: setattr(r.inputs[0], "datatype", "FP32"), "must be INT8 of shape"),
        (lambda r: r.inputs[0].shape.append(2), "not INT8 of shape .1, 28, 28, 1, 2."),
        (lambda r: r.raw_input_contents.__setitem__(0, b"short"), "in 5 bytes"),
        (lambda r: setattr(r.inputs[0], "name", "?"), "is missing"),
        (lambda r: say(r, "midge_cut", "0-99"), "rising ranges of nodes up to"),
        (lambda r: say(r, "midge_cut", "-1"), "rising ranges of nodes up to"),
        (lambda r: say(r, "midge_cut", "3,1"), "rising ranges of nodes up to"),
        (lambda r: say(r, "midge_cut", "9" * 5000), "rising ranges of nodes up to"),
        (lambda r: say(r, "midge_cut", "1"), "node 1 can't be on the device: it reads what"),
        (lambda r: say(r, "midge_cut", "0-13"), "nothing is left for the server"),
        (lambda r: setattr(r.parameters["midge_crc32"], "int64_param", 1), "changed on the way"),
        (lambda r: say(r, "midge_cut", ""), "changed on the way"),
    ],
)
def test_hostile_requests_are_answered_with_a_sentence(
    program, inputs, server, spoil, said
) -> None:  # type: ignore[no-untyped-def]
    client, message = EdgeClient(server.address, "digits", 60), request(program, inputs)
    spoil(message)
    with pytest.raises(LinkError, match=said):
        client._call("ModelInfer", message)


def test_only_known_peers_are_served(program, inputs, expected, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    trustme = pytest.importorskip("trustme", reason="makes the test's certificates")
    authority, stranger = trustme.CA(), trustme.CA()
    files = {}
    for name, issuer in (("server", authority), ("device", authority), ("foe", stranger)):
        made = issuer.issue_cert("localhost", "127.0.0.1")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        files[name] = (tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    trusted = tmp_path / "authority.pem"
    served = ModelServer(
        program.graph, "digits", credentials=Credentials(*files["server"], trusted)
    )
    served.start()
    cut = cut_at(program.graph, 0)
    for peer, welcome in (("device", True), ("foe", False), (None, False)):
        credentials = ClientCredentials(*files[peer], trusted) if peer else None
        client = EdgeClient(served.address, "digits", 60 if welcome else 2, credentials)
        if welcome:
            np.testing.assert_array_equal(client.infer(cut, inputs)[0], expected)
        else:
            with pytest.raises(LinkError):
                client.infer(cut, inputs)
        client.close()
    served.stop()


def test_a_token_is_asked_for(program, inputs, expected) -> None:  # type: ignore[no-untyped-def]
    served = ModelServer(program.graph, "digits", token="open sesame")
    served.start()
    cut = cut_at(program.graph, 0)
    for token, welcome in (("open sesame", True), ("open", False), (None, False)):
        client = EdgeClient(served.address, "digits", 60, token=token)
        if welcome:
            np.testing.assert_array_equal(client.infer(cut, inputs)[0], expected)
        else:
            with pytest.raises(LinkError, match="this server needs its token"):
                client.infer(cut, inputs)
        client.close()
    served.stop()


def test_the_standard_health_service_answers(server: ModelServer) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(server.address) as channel:
        asked = health_pb2.HealthCheckRequest()
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "mutual TLS needs --certificate, --key and --client-authority .docs/serving.md has"),
        (["--host", "0.0.0.0"], "mutual TLS needs"),
        (["--host", "0.0.0.0", "--insecure"], "is not this machine's loopback, and there anyone"),
        (["--insecure", "--token-file", "/dev/null"], "a token is one line of printable ASCII"),
        (["--certificate", "x.pem"], "mutual TLS needs .* together"),
        (["--certificate", "x", "--key", "x", "--client-authority", "x"], "are not a PEM"),
        (["--insecure", "--batch", "0"], "must be at least 1"),
    ],
)
def test_serving_to_strangers_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(MidgeError, match=said):
        parse_and_run(["serve", str(DIGITS), *arguments])
