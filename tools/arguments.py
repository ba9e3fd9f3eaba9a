"""Arguments that several verbs share, and what they mean."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.backend import BACKENDS
from ..runtime.errors import InputError, PlanError, ProgramError
from ..runtime.flash import check_flash
from ..runtime.graph import DTYPES, Graph, Tensor
from ..runtime.options import PARALLEL, Grant, Options
from ..runtime.plan_cache import compile_cached, read_cached
from ..runtime.planner import STRATEGIES
from ..runtime.program import Program
from ..runtime.program_file import is_program
from ..targets.boards import Board
from .zoo import find_model


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a .tflite file, or a name of models.toml")


def add_target(parser: argparse.ArgumentParser, default: str | None = "host") -> None:
    parser.add_argument(
        "--target",
        default=default,
        required=default is None,
        metavar="T",
        help=f"one of {', '.join(BACKENDS)}" + (f" (default {default})" if default else ""),
    )


def add_planning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ram",
        type=byte_count,
        metavar="N",
        help="take the plan of least arithmetic, the fastest of those, that needs at most N bytes "
        "of arena (64K is 65536), or refuse",
    )
    parser.add_argument(
        "--flash",
        type=byte_count,
        metavar="N",
        help="code and constants may take N bytes (512K is 524288): what is to spare goes to "
        "faster kernels with weights of 16 bits, or transformed ones",
    )
    parser.add_argument(
        "--memory",
        type=grants,
        metavar="NAME=N,...",
        help="plan for several memories, the fastest first (fast=64K,slow=2M): what is accessed "
        "most goes into the fast ones",
    )
    parser.add_argument(
        "--input-by-row",
        action="store_true",
        help="the caller hands over one row of the input image after the other (push_rows)",
    )
    parser.add_argument(
        "--fixed-point",
        action="store_true",
        help="round as targets without floats do; this changes ONNX models only, whose own rule on "
        "reference, host, x86-64 and aarch64 is ONNX Runtime's",
    )
    add_winograd(parser)
    add_frames(parser)
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help="node after node, segments row by row, the first nodes patch by patch, what needs "
        "fewest bytes, or least time (default: the target's own)",
    )
    parser.add_argument(
        "--frugal",
        action="store_true",
        help="no bytes for speed: a kernel that wants scratch only where there is room anyway",
    )
    parser.add_argument(
        "--max-extra-macs",
        type=float,
        metavar="F",
        help="let segments run in strips of columns that compute up to this part of the model's "
        "multiplications twice (0.1 is a tenth; default: none, with --ram as little as fits)",
    )
    parser.add_argument(
        "--int8-io", action="store_true", help="leave border conversions to the caller"
    )


def add_winograd(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--winograd",
        action="store_true",
        help="make 3x3 convolutions of float32 by Winograd's algorithm: a quarter of the products, "
        "and sums that are rounded otherwise than TensorFlow Lite's, alike on every target",
    )


def add_frames(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="an inference takes N new rows of the input, whose rows are frames in time, and keeps "
        "what it made of the others; its answer is that of the whole window",
    )


def compile_for(args: argparse.Namespace, target: str | None = None) -> Program:
    """Compile the model that the arguments name, within the memory that they grant.

    A program that `midge compile` saved is taken as it is, on the target that it was made for.
    """
    path, target = find_model(args.model), target or args.target
    if is_program(path):
        program = _load_program(path, target, getattr(args, "ram", None))
        if getattr(args, "flash", None) is not None:
            check_flash(len(program.constants), args.flash)
        return program
    options = options_of(args)
    if getattr(args, "threads", 1) > 1:
        options = replace(
            PARALLEL,
            int8_io=options.int8_io,
            fixed_point=options.fixed_point,
            winograd=options.winograd,
            frames=options.frames,
        )
    return compile_cached(path, target, options)


def options_of(args: argparse.Namespace) -> Options:
    """What the arguments ask of a plan."""
    return Options(
        int8_io=getattr(args, "int8_io", False),
        fixed_point=getattr(args, "fixed_point", False),
        winograd=getattr(args, "winograd", False),
        strategy=getattr(args, "strategy", None),
        ram=getattr(args, "ram", None),
        flash=getattr(args, "flash", None),
        memories=getattr(args, "memory", None) or (),
        input_by_row=getattr(args, "input_by_row", False),
        frames=getattr(args, "frames", None),
        frugal=getattr(args, "frugal", False),
        max_extra_macs=getattr(args, "max_extra_macs", None),
    )


def _load_program(path: Path, target: str, ram: int | None) -> Program:
    program = Program.load(path)
    if program.target != target:
        raise ProgramError(
            f"{path}: made for target {program.target}, not {target}; "
            f"say --target {program.target}, or compile the model again"
        )
    if ram is not None and program.arena_bytes > ram:
        raise PlanError(
            f"{path}: its arena needs {program.arena_bytes:,} bytes, --ram grants {ram:,}; "
            "compile the model again"
        )
    return program


def take_board(args: argparse.Namespace, board: Board) -> None:
    """The board states the target, and of several memories what each has for the model."""
    args.target = board.target
    path = find_model(args.model)
    if len(board.memories) > 1 and not (args.memory or args.ram or is_program(path)):
        graph = read_cached(path)
        args.memory = board.grants(sum(graph.tensors[index].bytes for index in graph.inputs))


def byte_count(text: str) -> int:
    """Bytes, perhaps with a suffix K (1024) or M (1024 K)."""
    units = {"K": 1024, "M": 1024 * 1024}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    return int(number) * unit


def grants(text: str) -> tuple[Grant, ...]:
    """`fast=64K,slow=2M`."""
    parts = [part.partition("=") for part in text.split(",")]
    try:
        return tuple(Grant(name.strip(), byte_count(size)) for name, _, size in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"memories are given as NAME=BYTES, the fastest first (fast=64K,slow=2M), not {text!r}"
        ) from None


def memories(program: Program) -> list[dict[str, Any]]:
    """What the arena takes of each memory that it was spread over; nothing if there is one."""
    return [
        {
            "name": region.name,
            "bytes": region.bytes,
            "granted": region.granted,
            "lower_bound": region.lower_bound,
            "accesses": region.accesses,
        }
        for region in program.regions
    ]


def read_token(path: Path) -> str:
    """The first line of a file, so that a secret is in no command line."""
    try:
        token = path.read_text().splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError):
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(f"{path}: a token is one line of printable ASCII, and none was found")
    return token


def load_inputs(graph: Graph, files: list[str] | None, seed: int) -> list[np.ndarray]:
    """Inputs from .npy files, in the model's order, or random ones drawn from `seed`."""
    if not files:
        return random_inputs(graph, seed)
    if len(files) != len(graph.inputs):
        raise InputError(f"the model takes {len(graph.inputs)} input(s), {len(files)} files given")
    return [_load(path) for path in files]


def _load(path: str) -> np.ndarray:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; --input takes a NumPy .npy file")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a NumPy .npy file ({error})") from None


def random_inputs(graph: Graph, seed: int) -> list[np.ndarray]:
    """Uniform over the type's whole range; floats over [-1, 1)."""
    generator = np.random.default_rng(seed)
    return [
        np.asarray(graph.fixed_inputs[index])
        if index in graph.fixed_inputs
        else _draw(generator, graph.tensors[index])
        for index in graph.inputs
    ]


def _draw(generator: np.random.Generator, tensor: Tensor) -> np.ndarray:
    dtype = DTYPES[tensor.dtype]
    if dtype.kind == "f":
        return generator.uniform(-1, 1, tensor.shape).astype(dtype)
    if dtype.kind == "b":
        return generator.integers(0, 2, tensor.shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, tensor.shape, dtype, endpoint=True)
