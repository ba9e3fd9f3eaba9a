"""`midge serve MODEL`: the edge server."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path
from typing import Any

from rich.console import Console

from ...runtime.errors import ToolError
from ..arguments import add_model, read_token
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
    tls = parser.add_argument_group("mutual TLS (all three)")
    tls.add_argument("--certificate", type=Path, metavar="PEM")
    tls.add_argument("--key", type=Path, metavar="PEM")
    tls.add_argument("--client-authority", type=Path, metavar="PEM")


def run(args: argparse.Namespace) -> dict[str, Any]:
    from ...targets.split.server import ModelServer, load_graph  # gRPC is an extra

    path, credentials = find_model(args.model), _credentials(args)
    if credentials is None and not is_loopback(args.host):
        raise ToolError(
            f"{args.host} is not this machine's loopback, and there anyone could call: give "
            "--certificate, --key and --client-authority, or listen on 127.0.0.1"
        )
    token = None if args.token_file is None else read_token(args.token_file)
    server = ModelServer(
        load_graph(path), args.name or path.stem, args.host, args.port, credentials, token
    )
    server.start()
    Console(stderr=True).print(f"serving {path.name} on {server.address}; stop with Ctrl-C")
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
    return {"address": server.address}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _credentials(args: argparse.Namespace) -> Any:
    from ...targets.split.server import Credentials

    files = (args.certificate, args.key, args.client_authority)
    if not any(files):
        return None
    if not all(files):
        raise ToolError("mutual TLS needs --certificate, --key and --client-authority together")
    return Credentials(*files)


def show(result: dict[str, Any], console: Console) -> None:
    console.print(f"stopped serving on {result['address']}")
