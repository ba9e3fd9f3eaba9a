"""`midge bench MODEL --mlperf-tiny`: MLPerf Tiny's performance and accuracy modes on a device.

The device is a board on a cable (`--port`), or an emulated one. An emulated board's times are the
emulator's, its answers are the board's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from ..runtime.backend import find_backend
from ..runtime.errors import InputError
from ..runtime.graph import Tensor
from ..runtime.program import Program
from ..sim.qemu import serial_board
from ..sim.serial_line import SerialLine
from ..targets.boards import emulated_board, find_board
from ..targets.cortex_m.image import build_image, sent_as
from ..targets.cortex_m.mlperf import Device, Lap, median_per_second, performance
from .arguments import compile_for, random_inputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("MLPerf Tiny")
    group.add_argument(
        "--mlperf-tiny", action="store_true", help="measure over the benchmark's serial protocol"
    )
    group.add_argument("--board", metavar="B", help="a board of `midge boards` (default: emulated)")
    group.add_argument(
        "--port", metavar="P", help="the board's serial port; without, it is emulated"
    )
    group.add_argument("--windows", type=int, default=5, help="of performance mode (default 5)")
    group.add_argument(
        "--seconds", type=float, default=10.0, help="least length of a window (default 10)"
    )
    group.add_argument("--input", metavar="F.npy", help="one input, or a batch of them")
    group.add_argument(
        "--labels", metavar="F.npy", help="accuracy mode: the right class of each input"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    name = args.target if args.target != "host" else "cortex-m4"
    board = find_board(args.board) if args.board else emulated_board(name)
    from .verbs.compile import named  # it imports the verbs

    program = named(compile_for(args, board.target), None, args.model)
    inputs = _inputs(args, program)
    with (
        tempfile.TemporaryDirectory(prefix="midge-") as folder,
        _device(args, program, board, Path(folder)) as device,
    ):
        if args.labels:
            return _accuracy(args, program, device, inputs)
        return _performance(args, program, device, inputs)


@contextmanager
def _device(
    args: argparse.Namespace, program: Program, board: Any, folder: Path
) -> Iterator[Device]:
    if args.port:
        with SerialLine(args.port, board.serial.baud if board.serial else 115200) as line:
            yield Device(line)
        return
    if board.emulator is None:
        raise InputError(f"{board.name} is not emulated; --port says where it is connected")
    image = build_image(program, board, folder)
    emulator = board.emulator
    with (
        serial_board(image.elf, emulator.program, emulator.machine, emulator.arguments) as (
            port,
            _,
        ),
        SerialLine(port) as line,
    ):
        yield Device(line)


def _inputs(args: argparse.Namespace, program: Program) -> list[np.ndarray]:
    """Inputs as the model takes them."""
    if not args.input:
        return random_inputs(program.graph, 0)
    tensor = program.inputs[0]
    given = np.load(args.input, allow_pickle=False)
    if given.shape == tensor.shape:
        return [given]
    if given.shape[1:] != tensor.shape[1:] or given.dtype != np.dtype(tensor.dtype):
        raise InputError(
            f"--input must be {tensor.dtype} of shape {list(tensor.shape)}, or a batch of such, "
            f"not {given.dtype} of shape {list(given.shape)}"
        )
    return [value[None] for value in given]


def _sent(program: Program, value: np.ndarray) -> bytes:
    """An input as the benchmark's host sends it."""
    tensor = program.inputs[0]
    form = sent_as(program)
    if form == "PIXELS":
        return (value.astype(np.int16) + 128).astype(np.uint8).tobytes()
    if form == "FLOATS":
        return _real(value, tensor).astype("<f4").tobytes()
    return value.tobytes()


def _performance(
    args: argparse.Namespace, program: Program, device: Device, inputs: Sequence[np.ndarray]
) -> dict[str, Any]:
    sent = [_sent(program, value) for value in inputs]
    laps = performance(device, sent, args.windows, args.seconds)
    median = median_per_second(laps)
    last = inputs[(args.windows - 1) % len(inputs)]
    return {
        **_about(args, device),
        "mode": "performance",
        "windows": [_describe(lap) for lap in laps],
        "median_per_second": median,
        "median_ms": 1e3 / median,
        "results": [float(score) for score in laps[-1].results],
        "equal_to_host": list(laps[-1].results) == host_results(program, last),
    }


def _accuracy(
    args: argparse.Namespace, program: Program, device: Device, inputs: Sequence[np.ndarray]
) -> dict[str, Any]:
    labels = np.load(args.labels, allow_pickle=False).reshape(-1)
    if len(labels) != len(inputs):
        raise InputError(f"{len(inputs)} inputs, but {len(labels)} labels; one for each is needed")
    scores, right = [], 0
    notes = Console(stderr=True)
    for value, label in track(
        list(zip(inputs, labels)), "inferring", console=notes, disable=args.json
    ):
        device.load(_sent(program, value))
        scores.append([float(score) for score in device.infer(1).results])
        right += int(np.argmax(scores[-1]) == label)
    return {
        **_about(args, device),
        "mode": "accuracy",
        "inputs": len(inputs),
        "top1": right / len(inputs),
        "results": scores,
    }


def _about(args: argparse.Namespace, device: Device) -> dict[str, Any]:
    return {
        "benchmark": device.model,
        "device": device.name,
        "emulated": not args.port,
    }


def _describe(lap: Lap) -> dict[str, Any]:
    return {"iterations": lap.iterations, "us": lap.us, "per_second": lap.per_second}


def host_results(program: Program, value: np.ndarray) -> list[str]:
    """The results as a device prints them, by the reference kernels of this machine."""
    executor = find_backend("reference").build(program)
    (answer, *_) = executor.run([value])
    real = _real(answer, program.outputs[0])
    if sent_as(program) == "FLOATS" and real.size == value.size:
        difference = real - _real(value, program.inputs[0])
        total = np.cumsum(difference * difference, dtype=np.float32)[-1]
        real = np.array([total / np.float32(real.size)])
    return [f"{score:.3f}" for score in real]


def _real(value: np.ndarray, tensor: Tensor) -> np.ndarray:
    """float32, flat."""
    flat = value.reshape(-1)
    if tensor.quantization is None:
        return flat.astype(np.float32)
    return (flat.astype(np.int32) - tensor.zero_point).astype(np.float32) * np.float32(tensor.scale)


def show(result: dict[str, Any], console: Console) -> None:
    where = " (emulated: its times are the emulator's)" if result["emulated"] else ""
    console.print(f"{result['benchmark']} on {result['device']}{where}", highlight=False)
    if result["mode"] == "accuracy":
        console.print(f"top-1 {result['top1']:.1%} of {result['inputs']} inputs")
        return
    for window in result["windows"]:
        console.print(
            f"{window['iterations']} inferences in {window['us'] / 1e6:.3f} s, "
            f"{window['per_second']:.2f} a second"
        )
    if not result["equal_to_host"]:
        console.print("the results are NOT those of the reference", style="red")
    console.print(
        f"median {result['median_per_second']:.2f} a second, {result['median_ms']:.3f} ms each"
    )
