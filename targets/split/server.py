"""The edge server: whole models and tails of models over gRPC, with mutual TLS and tokens."""

from __future__ import annotations

import argparse
import hmac
import json
import sys
import time
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ...runtime.errors import MidgeError, ToolError
from ...runtime.graph import Graph
from .protocol import METHODS, SERVICE, messages
from .service import Call, ModelService, load_graph, status_of

__all__ = ["Credentials", "ModelServer", "load_graph"]

WORKERS = 32  # requests that wait for a tail where it can see them
MOST_WAITING = 256  # requests that run or wait


@dataclass(frozen=True)
class Credentials:
    """PEM files for mutual TLS: the server's own certificate and key, and who may call."""

    certificate: Path
    key: Path
    client_authority: Path


class ModelServer:
    """Serves one model on `address` (port 0: any free one); `start`, then `stop`."""

    def __init__(
        self,
        graph: Graph | None,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Credentials | None = None,
        token: str | None = None,
        target: str = "host",
        slowdown: float = 1.0,
        most: int = 1,
        wait_ms: float = 0.0,
        service: Any = None,
    ) -> None:
        """`service` answers in the place of one `ModelService` here, and has its methods."""
        if service is None:
            assert graph is not None
            service = ModelService(graph, name, target, slowdown, most, wait_ms)
        self.service = service
        self._server = grpc.server(
            futures.ThreadPoolExecutor(WORKERS),
            maximum_concurrent_rpcs=MOST_WAITING,  # beyond it: "resource exhausted", at once
            options=[
                ("grpc.max_receive_message_length", self.service.most_bytes),
                ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share
            ],
        )
        handlers = {method: _handler(self.service, method, token) for method in METHODS}
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
        self.service.close()

    def wait(self) -> None:
        """Serve until the process is stopped."""
        self._server.wait_for_termination()


def _tls(credentials: Credentials) -> Any:
    return grpc.ssl_server_credentials(
        [(credentials.key.read_bytes(), credentials.certificate.read_bytes())],
        root_certificates=credentials.client_authority.read_bytes(),
        require_client_auth=True,
    )


def _handler(service: Any, method: str, token: str | None) -> Any:
    serve, wanted = getattr(service, method), None if token is None else f"Bearer {token}"

    def answer(request: Any, context: Any) -> Any:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        if wanted is not None:
            given = metadata.get("authorization", "")
            if not hmac.compare_digest(given.encode(), wanted.encode()):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "this server needs its token")
        left = context.time_remaining()
        ends = float("inf") if left is None else time.monotonic() + left
        try:
            return serve(request, Call(metadata, ends))
        except MidgeError as error:
            context.abort(getattr(grpc.StatusCode, status_of(error)), str(error))

    return grpc.unary_unary_rpc_method_handler(
        answer,
        getattr(messages, f"{method}Request").FromString,
        getattr(messages, f"{method}Response").SerializeToString,
    )


def main(arguments: list[str] | None = None) -> int:
    """`python -m midge.targets.split.server PATH NAME`: what the `split` target starts.

    Prints one JSON line with the address once it listens, and ends when its standard input does,
    so that it never outlives the process that started it.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("name")
    parser.add_argument("slowdown", type=float, nargs="?", default=1.0)
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    args = parser.parse_args(arguments)
    server = ModelServer(load_graph(args.path), args.name, args.host, slowdown=args.slowdown)
    server.start()
    print(json.dumps({"address": server.address}), flush=True)
    sys.stdin.read()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
