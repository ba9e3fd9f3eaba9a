"""The edge server: runs whole models and tails of models over gRPC.

It checks the model's digest and the cut before it computes, and every tensor's name, type, shape
and size before it reads one. Any client of the Open Inference Protocol may ask for the whole model;
a midge device says in the request's parameters where it has cut.
"""

from __future__ import annotations

import argparse
import hmac
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ... import __version__
from ...runtime.backend import Executor, find_backend
from ...runtime.errors import InputError, MidgeError, TargetError, ToolError
from ...runtime.graph import Graph, Tensor
from ...runtime.importers import read_model
from ...runtime.options import Options
from ...runtime.pipeline import compile_graph, rewrite
from ...runtime.program import Program
from ...runtime.program_file import is_program
from .coder import Frames
from .cut import cut_between, parse_ranges
from .protocol import (
    BASE,
    CHECKSUM,
    COMPUTE_MS,
    CUT,
    DATATYPES,
    DECODE_MS,
    DIGEST,
    MAX_MESSAGE,
    METHODS,
    SERVICE,
    STREAM,
    check,
    checksum,
    messages,
    pack,
    unpack,
)

WORKERS = 4
MOST_WAITING = 256  # requests that run or wait
MOST_TAILS = 32  # compiled at once; a peer that asks for every cut costs time, not memory


@dataclass(frozen=True)
class Credentials:
    """PEM files for mutual TLS: the server's own certificate and key, and who may call."""

    certificate: Path
    key: Path
    client_authority: Path


class _Tail:
    """One compiled tail. Its executor serves one request at a time."""

    def __init__(self, graph: Graph, target: str, slowdown: float) -> None:
        self.graph = graph
        self.executor: Executor = find_backend(target).build(compile_graph(graph, target))
        if slowdown > 1:
            from ...sim.slowed import Slowed  # only to measure what a slower server would give

            self.executor = Slowed(self.executor, slowdown)
        self.lock = threading.Lock()


class ModelServer:
    """Serves one model on `address` (port 0: any free one); `start`, then `stop`."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Credentials | None = None,
        token: str | None = None,
        target: str = "host",
        slowdown: float = 1.0,
    ) -> None:
        self._graph, self._name, self._target, self._slowdown = graph, name, target, slowdown
        self._frames = Frames()
        self._tails: dict[str, _Tail] = {}  # the last used one is the last
        self._lock = threading.Lock()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(WORKERS),
            maximum_concurrent_rpcs=MOST_WAITING,  # beyond it: "resource exhausted", at once
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share
            ],
        )
        handlers = {method: _handler(getattr(self, method), method, token) for method in METHODS}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, handlers),)
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.address = f"{host}:{self._bind(f'{host}:{port}', credentials)}"

    def _bind(self, address: str, credentials: Credentials | None) -> int:
        try:
            if credentials is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, _tls(credentials)))
        except RuntimeError:
            raise ToolError(
                f"can't listen on {address}: the port is taken or the address is not this machine's"
            ) from None

    def start(self) -> None:
        self._server.start()
        for service in ("", SERVICE):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        self._health.enter_graceful_shutdown()
        self._server.stop(grace=1.0).wait()

    def wait(self) -> None:
        """Serve until the process is stopped."""
        self._server.wait_for_termination()

    # ---- the protocol's methods, by their names ----

    def ServerLive(self, request: Any) -> Any:
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any) -> Any:
        return messages.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any) -> Any:
        return messages.ModelReadyResponse(ready=request.name == self._name)

    def ServerMetadata(self, request: Any) -> Any:
        return messages.ServerMetadataResponse(name="midge", version=__version__)

    def ModelMetadata(self, request: Any) -> Any:
        self._check_name(request.name)
        graph = self._graph
        return messages.ModelMetadataResponse(
            name=self._name,
            versions=["1"],
            platform="midge",
            inputs=[_metadata(graph.tensors[i]) for i in graph.inputs],
            outputs=[_metadata(graph.tensors[i]) for i in graph.outputs],
        )

    def ModelInfer(self, request: Any) -> Any:
        self._check_name(request.model_name)
        digest = request.parameters[DIGEST].string_param if DIGEST in request.parameters else None
        if digest is not None and digest != self._graph.sha256:
            raise TargetError(
                f"the device runs model {digest[:12]}, this server has {self._graph.sha256[:12]}; "
                "give both the same model file"
            )
        tail = self._tail(request.parameters[CUT].string_param if CUT in request.parameters else "")
        inputs = [tail.graph.tensors[i] for i in tail.graph.inputs]
        if CUT in request.parameters or CHECKSUM in request.parameters:
            check(request.raw_input_contents, request.parameters)
        started = time.perf_counter()
        values = self._values(request, inputs)
        decode_ms = (time.perf_counter() - started) * 1e3
        started = time.perf_counter()
        with tail.lock:
            answers = tail.executor.run(values)
        compute_ms = (time.perf_counter() - started) * 1e3
        outputs = [tail.graph.tensors[i] for i in tail.graph.outputs]
        described, contents = pack(messages.ModelInferResponse.InferOutputTensor, outputs, answers)
        response = messages.ModelInferResponse(
            model_name=self._name,
            model_version="1",
            id=request.id,
            outputs=described,
            raw_output_contents=contents,
        )
        response.parameters[CHECKSUM].int64_param = checksum(contents)
        response.parameters[COMPUTE_MS].double_param = compute_ms
        response.parameters[DECODE_MS].double_param = decode_ms
        return response

    # ---- inside ----

    def _check_name(self, name: str) -> None:
        if name != self._name:
            raise InputError(f"this server has the model {self._name!r}, not {name!r}")

    def _values(self, request: Any, inputs: Sequence[Tensor]) -> list[np.ndarray]:
        """The request's tensors; those of a stream are kept for the differences to come."""
        frame, stream = None, ""
        if STREAM in request.parameters:
            stream = request.parameters[STREAM].string_param[:64]
            if BASE in request.parameters:
                frame = self._frames.base(stream, request.parameters[BASE].int64_param)
        values = unpack(inputs, request.inputs, request.raw_input_contents, frame)
        if stream:
            self._frames.keep(stream, values)
        return values

    def _tail(self, device: str) -> _Tail:
        """The compiled tail of a cut; of many cuts the last used ones are kept."""
        nodes = len(self._graph.nodes)
        cut = cut_between(self._graph, parse_ranges(device, nodes - 1))
        if not cut.server:
            raise TargetError("nothing is left for the server: the cut has all nodes on the device")
        with self._lock:
            tail = self._tails.pop(cut.name, None) or _Tail(cut.tail, self._target, self._slowdown)
            self._tails[cut.name] = tail
            while len(self._tails) > MOST_TAILS:
                self._tails.pop(next(iter(self._tails)))
            return tail


def _tls(credentials: Credentials) -> Any:
    return grpc.ssl_server_credentials(
        [(credentials.key.read_bytes(), credentials.certificate.read_bytes())],
        root_certificates=credentials.client_authority.read_bytes(),
        require_client_auth=True,
    )


def _handler(serve: Callable[[Any], Any], method: str, token: str | None) -> Any:
    wanted = None if token is None else f"Bearer {token}"

    def answer(request: Any, context: Any) -> Any:
        if wanted is not None:
            given = str(dict(context.invocation_metadata()).get("authorization", ""))
            if not hmac.compare_digest(given.encode(), wanted.encode()):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "this server needs its token")
        try:
            return serve(request)
        except InputError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except MidgeError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return grpc.unary_unary_rpc_method_handler(
        answer,
        getattr(messages, f"{method}Request").FromString,
        getattr(messages, f"{method}Response").SerializeToString,
    )


def _metadata(tensor: Tensor) -> Any:
    return messages.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=DATATYPES[tensor.dtype], shape=tensor.shape
    )


def load_graph(path: Path) -> Graph:
    """The rewritten graph of a model file or of a saved program: both sides cut the same nodes."""
    return Program.load(path).graph if is_program(path) else rewrite(read_model(path), Options())


def main(arguments: list[str] | None = None) -> int:
    """`python -m midge.targets.split.server PATH NAME`: what the `split` target starts.

    Prints one JSON line with the address once it listens, and ends when its standard input does,
    so that it never outlives the process that started it.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("name")
    parser.add_argument("slowdown", type=float, nargs="?", default=1.0)
    args = parser.parse_args(arguments)
    server = ModelServer(load_graph(args.path), args.name, slowdown=args.slowdown)
    server.start()
    print(json.dumps({"address": server.address}), flush=True)
    sys.stdin.read()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
