"""`midge split firmware` and `gateway`: a microcontroller runs the head, this machine its errands.

The firmware sends what crosses the cut over its serial port; the gateway forwards it to a server
and returns the answer. Inputs come over the same line, in the place of a sensor.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ..runtime.backend import check_inputs, find_backend
from ..runtime.errors import InputError
from ..runtime.graph import Graph
from ..runtime.pipeline import compile_graph
from ..runtime.rounding import in_fixed_point
from ..sim.qemu import serial_board
from ..sim.serial_line import SerialLine
from ..targets.boards import Board, find_board
from ..targets.cortex_m.edge import build_edge_image
from ..targets.cortex_m.image import Image
from ..targets.split.cut import Cut, cut_at
from .arguments import load_inputs, read_token
from .split_plan import graph_of
from .trust import add_tls, host_of, tls_files

BOARD = "mps2-an386"  # which QEMU has


def add_firmware_arguments(parser: argparse.ArgumentParser) -> None:
    _add_head(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")


def add_gateway_arguments(parser: argparse.ArgumentParser) -> None:
    _add_head(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", metavar="P", help="the board's serial port")
    where.add_argument("--qemu", action="store_true", help="the board, emulated, with its firmware")
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help="a `midge serve` of the model (default: one is started)",
    )
    parser.add_argument("--name", help="the model's name there (default: its file's)")
    parser.add_argument("--deadline", type=float, default=10.0, metavar="S", help="default 10 s")
    parser.add_argument("--token-file", type=Path, metavar="F", help="the server's token")
    parser.add_argument("--input", nargs="+", metavar="F.npy", help="one file for each input")
    parser.add_argument("--runs", type=int, default=1, help="on random inputs (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the first of them (default 0)")
    add_tls(parser, "server")


def _add_head(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cut", type=int, required=True, metavar="K", help="the device runs nodes 0 to K-1"
    )
    parser.add_argument("--board", default=BOARD, metavar="B", help=f"default {BOARD}")


def build_firmware(graph: Graph, cut: Cut, board: Board, folder: Path) -> Image:
    """The head of a cut for a board, in `folder`."""
    head = replace(compile_graph(cut.head, board.target), name="head")
    answer = sum(graph.tensors[t].bytes for t in cut.tail.outputs)
    return build_edge_image(head, answer, board, folder)


def _graph_for(board: Board, model: str) -> Graph:
    """The model by the board's rounding, which the server then has too."""
    graph = graph_of(model)
    return graph if find_backend(board.target).rounds_in_floats else in_fixed_point(graph)


def run_firmware(args: argparse.Namespace) -> dict[str, Any]:
    board = find_board(args.board)
    graph = _graph_for(board, args.model)
    cut = cut_at(graph, args.cut)
    image = build_firmware(graph, cut, board, args.output)
    files = [image.elf, image.bin, image.hex, image.uf2]
    return {
        "board": board.name,
        "cut": cut.position,
        "bytes": cut.sent_bytes,
        "flash_bytes": image.flash_bytes,
        "ram_bytes": image.ram_bytes,
        "files": [str(path) for path in files if path is not None],
    }


def show_firmware(result: dict[str, Any], console: Console) -> None:
    console.print(
        f"{result['board']}: nodes 0 to {result['cut'] - 1}, {result['bytes']:,} bytes cross; "
        f"{result['flash_bytes']:,} bytes of flash, {result['ram_bytes']:,} of RAM"
    )
    for path in result["files"]:
        console.print(f"  {path}", highlight=False)


def run_gateway(args: argparse.Namespace) -> dict[str, Any]:
    from ..targets.split.gateway import Gateway
    from ..targets.split.uplink import Uplink

    board = find_board(args.board)
    graph = _graph_for(board, args.model)
    if args.runs < 1:
        raise InputError("--runs must be at least 1")
    cut = cut_at(graph, args.cut)
    local = find_backend("host").build(compile_graph(graph))
    runs = []
    with _line(args, graph, cut, board) as line, _client(args, graph) as client:
        uplink = Uplink(line)
        gateway = Gateway(uplink, graph, cut, client)
        gateway.greet()
        for number in range(args.runs):
            given = check_inputs(graph, load_inputs(graph, args.input, args.seed + number))
            told = gateway.run(given)
            content = b"".join(value.tobytes() for value in told.outputs)
            equal = [np.array_equal(a, b) for a, b in zip(told.outputs, local.run(given))]
            runs.append(
                {
                    "status": told.status,
                    "why": told.why,
                    "output_sha256": hashlib.sha256(content).hexdigest() if content else None,
                    "equal_to_host": bool(equal) and all(equal),
                }
            )
    return {
        "board": board.name,
        "emulated": args.qemu,
        "cut": cut.position,
        "bytes": cut.sent_bytes,
        "runs": runs,
        "sent_again": uplink.sent_again,
        "asked_again": uplink.asked_again,
    }


@contextmanager
def _line(args: argparse.Namespace, graph: Graph, cut: Cut, board: Board) -> Iterator[SerialLine]:
    if args.port:
        with SerialLine(args.port, board.serial.baud if board.serial else 115200) as line:
            yield line
        return
    if board.emulator is None:
        raise InputError(f"{board.name} is not emulated; --port says where it is connected")
    emulator = board.emulator
    with tempfile.TemporaryDirectory(prefix="midge-") as folder:
        image = build_firmware(graph, cut, board, Path(folder))
        with (
            serial_board(image.elf, emulator.program, emulator.machine, emulator.arguments) as (
                port,
                _,
            ),
            SerialLine(port) as line,
        ):
            yield line


@contextmanager
def _client(args: argparse.Namespace, graph: Graph) -> Iterator[Any]:
    from ..targets.split.backend import ServerProcess
    from ..targets.split.client import ClientCredentials, EdgeClient

    if args.server:
        files = tls_files(args, "server", host_of(args.server))
        credentials = None if files is None else ClientCredentials(*files)
        token = None if args.token_file is None else read_token(args.token_file)
        name = args.name or Path(args.model).stem
        client = EdgeClient(args.server, name, args.deadline, credentials, token=token)
        yield client
        client.close()
        return
    server = ServerProcess(compile_graph(graph))
    try:
        client = EdgeClient(server.address, server.model, args.deadline)
        yield client
        client.close()
    finally:
        server.stop()


def show_gateway(result: dict[str, Any], console: Console) -> None:
    where = " (emulated)" if result["emulated"] else ""
    console.print(
        f"{result['board']}{where}: nodes 0 to {result['cut'] - 1} there, "
        f"{result['bytes']:,} bytes over the line"
    )
    for run in result["runs"]:
        bits = "equal to this machine's" if run["equal_to_host"] else "NOT this machine's"
        why = f": {run['why']}" if run["why"] else ""
        console.print(f"{run['status']}{why}" + (f", bits {bits}" if run["output_sha256"] else ""))
    console.print(
        f"{result['sent_again']} frames sent again, {result['asked_again']} asked for again"
    )
