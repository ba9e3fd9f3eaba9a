"""A program as an image that the interpreter in C runs, and the interpreter's own sources.

An image is little-endian 32-bit words: magic, version, bytes, CRC-32 of all from word 4 on; bytes
of the arena; offset and bytes of the constants; offset and number of the words, of the kernels'
signatures, and offset of the tensors; numbers of inputs, outputs, states; 0; the model's SHA-256.
A tensor is its arena offset and bytes, a state also where its initial value is in the constants.

The words are items: CALL, kernel, its words; or LOOP, passes, calls, steps, each step's call, word
and increment, and the calls, each with its kernel and words.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...runtime.errors import TargetError
from ...runtime.feeding import is_fed, unrolled_calls
from ...runtime.program import Call, Loop, Program
from .access import RULES
from .checks import Memory, broken, checking_function
from .lowering import layouts
from .sources import c_kernels, params_type, sources

MAGIC, VERSION = 0x4744494D, 1
CALL, LOOP = 1, 2
ALIGNMENT = 16
HEADER_WORDS, CHECKED_FROM = 24, 16
FOLDER = Path(__file__).parent / "interpreter"


def signature(kernel: str) -> int:
    """FNV-1a of a kernel's name and the names of its words: another layout is another kernel."""
    value = 0x811C9DC5
    for byte in " ".join((kernel, *layouts()[kernel].fields)).encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def to_image(program: Program) -> bytes:
    """The program for the interpreter; `TargetError` if it has a kernel that can't be checked."""
    _check(program)
    kernels = sorted({call.kernel for call in program.calls()})
    words = list(_words(program, {kernel: i for i, kernel in enumerate(kernels)}))
    constants = bytearray(program.constants)
    tensors = [
        number
        for tensor in (*program.inputs, *program.outputs)
        for number in (program.addresses[tensor.index], tensor.bytes)
    ]
    for index, value in program.state.items():
        tensors += [program.addresses[index], value.nbytes, len(constants)]
        constants += np.ascontiguousarray(value).tobytes()
    start = HEADER_WORDS * 4
    parts = [bytes(constants), _packed(words, "i"), _packed(map(signature, kernels), "I")]
    parts.append(_packed(tensors, "I"))
    offsets, body = [], b""
    for part in parts:
        body += bytes(-(start + len(body)) % ALIGNMENT)
        offsets.append(start + len(body))
        body += part
    checked = struct.pack(
        "<12I",
        *(program.arena_bytes, offsets[0], len(constants), offsets[1], len(words)),
        *(offsets[2], len(kernels), offsets[3]),
        *(len(program.inputs), len(program.outputs), len(program.state), 0),
    )
    checked += bytes.fromhex(program.graph.sha256).ljust(32, b"\0") + body
    total = CHECKED_FROM + len(checked)
    return struct.pack("<4I", MAGIC, VERSION, total, binascii.crc32(checked)) + checked


def _check(program: Program) -> None:
    unknown = sorted({call.kernel for call in program.calls()} - RULES.keys())
    if is_fed(program):
        raise TargetError("the interpreter takes whole inputs; leave out --input-by-row")
    if any(tensor.constant for tensor in program.outputs):
        raise TargetError("the interpreter has no use for a model whose output is a constant")
    if unknown:
        raise TargetError(
            f"the interpreter has no rule for {', '.join(unknown)}, and runs no kernel that it "
            "can't check; compile the model for target interpreter"
        )

    memory = Memory(program.constants, program.arena_bytes)
    for _, call in unrolled_calls(program):
        why = broken(call.kernel, call.args, memory)
        if why is not None:
            raise TargetError(
                f"the interpreter's rule for {call.kernel} does not cover node {call.node} ({why})"
            )


def _words(program: Program, numbers: dict[str, int]) -> Iterator[int]:
    for item in program.items:
        if isinstance(item, Call):
            yield from (CALL, numbers[item.kernel], *item.args.values())
        else:
            yield from _loop_words(item, numbers)


def _loop_words(loop: Loop, numbers: dict[str, int]) -> Iterator[int]:
    yield from (LOOP, loop.count, len(loop.body), len(loop.steps))
    for step in loop.steps:
        yield from (step.call, list(loop.body[step.call].args).index(step.field), step.by)
    for call in loop.body:
        yield from (numbers[call.kernel], *call.args.values())


def _packed(numbers: Iterable[int], kind: str) -> bytes:
    listed = list(numbers)
    return struct.pack(f"<{len(listed)}{kind}", *listed)


def library(program: Program) -> dict[str, str | bytes]:
    """The interpreter as a CMake library, with this program as its first image; an example."""
    texts = interpreter_sources()
    files: dict[str, str | bytes] = {
        f"{'include' if name == 'midge_interpreter.h' else 'src'}/{name}": text
        for name, text in texts.items()
    }
    listed = "\n".join(f"  src/{name}" for name in sorted(texts) if name.endswith(".c"))
    files["CMakeLists.txt"] = _CMAKE.replace("@SOURCES@", listed)
    files["examples/run_image.c"] = (FOLDER / "run_image.c").read_text()
    files[f"{program.name}.image"] = to_image(program)
    return files


_CMAKE = """\
cmake_minimum_required(VERSION 3.13)
project(midge_interpreter C)

add_library(midge_interpreter STATIC
@SOURCES@
)
target_include_directories(midge_interpreter PUBLIC include PRIVATE src)
set_target_properties(midge_interpreter PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
# A program that lies may make sums wrap: let C say what they do then.
target_compile_options(midge_interpreter PRIVATE -O3 -ffp-contract=off -fwrapv)

option(MIDGE_INTERPRETER_EXAMPLE "Build the example" OFF)
if(MIDGE_INTERPRETER_EXAMPLE)
  add_executable(run_image examples/run_image.c)
  target_link_libraries(run_image PRIVATE midge_interpreter)
endif()
"""

# ---- the interpreter's sources -----------------------------------------------------------------


def interpreter_sources(kernels: Sequence[str] | None = None) -> dict[str, str]:
    """File name -> text; with these kernels, by default with all that have a rule."""
    known = [name for name in sorted(kernels or RULES) if name in c_kernels()]
    texts = sources(known)
    for path in sorted(FOLDER.glob("midge_*")):
        texts[path.name] = path.read_text()
    texts["midge_interpreter_kernels.c"] = "\n".join(_kernel_table(known)) + "\n"
    return texts


def _kernel_table(kernels: Sequence[str]) -> Iterator[str]:
    yield "/* Printed by midge: the kernels, and what each of them may be asked for. */"
    yield '#include "midge_interpreter_kernels.h"'
    yield ""
    yield '#include "midge_checks.h"'
    yield '#include "midge_kernels.h"'
    for kernel in kernels:
        yield ""
        yield from checking_function(kernel, layouts()[kernel].fields)
        yield ""
        yield f"static void run_{kernel}("
        yield "    int8_t *arena, const int8_t *constants, const int32_t *words)"
        yield "{"
        params = f"(const {params_type(kernel)} *)(const void *)words"
        yield f"    midge_{kernel}(arena, constants, {params});"
        yield "}"
    yield ""
    yield "const midge_kernel midge_kernels[] = {"
    for kernel in kernels:
        count = len(layouts()[kernel].fields)
        yield f"    {{{signature(kernel):#010x}u, {count}, check_{kernel}, run_{kernel}}},"
    yield "};"
    yield f"const uint32_t midge_kernel_count = {len(kernels)};"
