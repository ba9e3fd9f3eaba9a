"""`midge serve MODEL`: the edge server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from ...runtime.errors import InputError
from ..arguments import add_model, read_token
from ..trust import add_tls, tls_files
from ..zoo import find_model

HELP = "serve a model, and the tails of its cuts, over gRPC (Open Inference Protocol)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="0 takes any free one")
    parser.add_argument("--name", help="the model's name in requests (default: its file's)")
    parser.add_argument(
        "--token-file", type=Path, metavar="F", help="callers must know the token in its first line"
    )
    batching = parser.add_argument_group("requests at once")
    batching.add_argument(
        "--batch", type=int, default=8, metavar="N", help="run up to N that wait together (8)"
    )
    batching.add_argument(
        "--batch-ms",
        type=float,
        default=0.0,
        metavar="T",
        help="let the first wait T ms for others",
    )
    engine = parser.add_argument_group("replicas")
    engine.add_argument(
        "--engine", choices=("here", "ray"), default="here", help="this process, or Ray Serve"
    )
    engine.add_argument("--replicas", type=int, default=1, metavar="N", help="of Ray Serve")
    engine.add_argument(
        "--most-replicas", type=int, metavar="N", help="add replicas up to N while requests wait"
    )
    add_tls(parser, "client")


def run(args: argparse.Namespace) -> dict[str, Any]:
    from ...targets.split.server import Credentials, ModelServer, load_graph  # gRPC is an extra

    path, files = find_model(args.model), tls_files(args, "client", args.host)
    if min(args.batch, args.replicas, args.most_replicas or 1) < 1 or args.batch_ms < 0:
        raise InputError(
            "--batch and numbers of replicas must be at least 1, --batch-ms at least 0"
        )
    credentials = None if files is None else Credentials(*files)
    token = None if args.token_file is None else read_token(args.token_file)
    name = args.name or path.stem
    engine = _ray_service(args, path, name) if args.engine == "ray" else None
    server = ModelServer(
        load_graph(path) if engine is None else None,
        name,
        args.host,
        args.port,
        credentials,
        token,
        most=args.batch,
        wait_ms=args.batch_ms,
        service=engine,
    )
    server.start()
    Console(stderr=True).print(f"serving {path.name} on {server.address}; stop with Ctrl-C")
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
    return {"address": server.address}


def _ray_service(args: argparse.Namespace, path: Path, name: str) -> Any:
    from ...targets.split.ray_server import RayService, Scale

    scale = Scale(args.replicas, args.most_replicas)
    return RayService(path, name, scale, args.batch, args.batch_ms)


def show(result: dict[str, Any], console: Console) -> None:
    console.print(f"stopped serving on {result['address']}")
