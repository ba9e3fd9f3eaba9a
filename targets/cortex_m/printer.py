"""A program printed as C99 for one model: `model.h` is its interface, `model.c` the rest.

The C has no heap, no globals but constants, and includes only <stddef.h>, <stdint.h>, <string.h>
and midge's own headers. The same program gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ... import __version__
from ...runtime.errors import TargetError
from ...runtime.feeding import is_fed
from ...runtime.graph import Graph, Tensor
from ...runtime.program import Call, Loop, Program
from ...runtime.while_loop import MOST_TURNS
from .addresses import Addresses
from .calls import CallPrinter, Steps, quoted, steps_of
from .fed import FedPrinter
from .sources import KERNELS_HEADER, is_c_name
from .tracing import Tracer

BYTES_A_LINE = 16
C_ALIGNMENT = 16  # of the constants and of the arena
C_TYPES = {
    "binary": "int32_t",  # words of 32 channels
    "bool": "uint8_t",
    "float32": "float",
    "float64": "double",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


TRACE, PROFILE = "trace", "profile"  # hooks of printed models
ENDLESS_STATUS = 7  # of a printed model's run
PROFILE_PAIRS = 1000  # hooks with nothing between, by which the hooks' own cost is found


def print_model(program: Program, hook: str | None = None) -> dict[str, str]:
    """File name -> text. The program's name prefixes all that the C defines.

    With a hook the model calls `midge_trace` with what each call has written, or
    `midge_profile_begin` and `_end` round every call; `trace.h` and `profile.h` declare them.
    """
    name = program.name
    if not is_c_name(name):
        raise TargetError(
            f"a model's name must be a C identifier of ASCII letters, digits and _, not {name!r}"
        )
    printer = _Printer(program, name, hook)
    return {
        f"{name}.h": "\n".join(printer.header()) + "\n",
        f"{name}.c": "\n".join(printer.source()) + "\n",
    }


def model_under_test(program: Program, hook: str | None = None) -> str:
    """The header by which a harness names any model `midge_model_...` and `MIDGE_MODEL_...`."""
    name = program.name
    printer = _Printer(program, name, None)
    text = "\n".join(printer.header())
    found = sorted(set(re.findall(rf"\b(?:midge_{name}|MIDGE_{name.upper()})_\w+", text)))
    aliases = [
        f"#define {word[:6]}{'model' if word[0] == 'm' else 'MODEL'}{word[6 + len(name) :]} {word}"
        for word in found
    ]
    lines = [f'#include "{name}.h"', *([] if name == "model" else aliases)]
    lines += printer.addresses.harness_macros()
    if hook == PROFILE:
        lines.append(f"#define MIDGE_PROFILE_CALLS {len(list(program.calls()))}")
        lines.append(f"#define MIDGE_PROFILE_PAIRS {PROFILE_PAIRS}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Printer:
    program: Program
    name: str
    hook: str | None

    @property
    def graph(self) -> Graph:
        return self.program.graph

    @property
    def macro(self) -> str:
        return f"MIDGE_{self.name.upper()}"

    @cached_property
    def fed(self) -> FedPrinter | None:
        """Prints what takes the input by row, if the program does."""
        if not is_fed(self.program):
            return None
        return FedPrinter(self.program, self.name, self.calls, self.addresses)

    @cached_property
    def calls(self) -> CallPrinter:
        return CallPrinter(self.program, self._hooked, self.addresses, f"{self.macro}_ENDLESS")

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.program, C_ALIGNMENT)

    @property
    def prefix(self) -> str:
        return f"midge_{self.name}"

    # ---- the interface ----

    def header(self) -> Iterator[str]:
        p, macro, prefix = self.program, self.macro, self.prefix
        yield from self._title()
        yield f"#ifndef {macro}_H"
        yield f"#define {macro}_H"
        yield ""
        yield "#include <stddef.h>"
        yield "#include <stdint.h>"
        yield ""
        yield from self.addresses.arena_macros()
        yield f"#define {macro}_STATE_BYTES {sum(v.nbytes for v in p.state.values())}"
        yield f'#define {macro}_SHA256 "{self.graph.sha256}" /* of the model file */'
        yield ""
        yield from self._operand_macros("INPUT", p.inputs)
        yield ""
        yield from self._operand_macros("OUTPUT", p.outputs)
        yield ""
        yield "#ifdef __cplusplus"
        yield 'extern "C" {'
        yield "#endif"
        yield ""
        yield f"enum {prefix}_status {{"
        yield f"    {macro}_OK = 0,"
        yield f"    {macro}_NO_ARENA = 1,        /* the arena is NULL */"
        yield f"    {macro}_ARENA_UNALIGNED = 2, /* it doesn't start at a multiple of the alignment */"
        more = [f"{macro}_ARENA_TOO_SMALL = 3"]
        if self.fed is not None:
            more.append(f"{macro}_WRONG_ROWS = 4 /* NULL, or more than are still to come */")
        if self.addresses.several:
            more.append(f"{macro}_NOT_THE_ARENA = 5 /* it isn't the first memory */")
            more.append(
                f"{macro}_OUT_OF_REACH = 6  /* a memory isn't in the 2 GB from the base on */"
            )
        if any(call.parts for call in self.program.calls()):
            more.append(
                f"{macro}_ENDLESS = {ENDLESS_STATUS} /* a loop went on after {MOST_TURNS} turns */"
            )
        yield from _enumerated(more)
        yield "};"
        yield ""
        yield "/* Check the arena and set the model's state; call it once, before all others. */"
        yield f"int {prefix}_init(void *arena, size_t arena_bytes);"
        yield ""
        yield "/* Set the model's state to its initial values. */"
        yield f"int {prefix}_reset(void *arena);"
        yield ""
        if self.fed is not None:
            yield from self.fed.declarations()
        else:
            yield "/* One inference: reads the inputs, which it may overwrite, and makes outputs. */"
            yield f"int {prefix}_run(void *arena);"
        yield ""
        yield "/* Where an input is to be put, and an output is found; NULL if there is no such one."
        yield " * Outputs stay until inputs are put for the next inference. */"
        yield f"void *{prefix}_input(void *arena, int index);"
        yield f"const void *{prefix}_output(const void *arena, int index);"
        yield ""
        yield "/* In bytes; 0 if there is no such one. */"
        yield f"size_t {prefix}_input_bytes(int index);"
        yield f"size_t {prefix}_output_bytes(int index);"
        yield ""
        yield "#ifdef __cplusplus"
        yield "}"
        yield "#endif"
        yield ""
        yield "#endif"

    def _title(self) -> Iterator[str]:
        yield f"/* Printed by midge {__version__}."
        yield " *"
        yield f" * Model file SHA-256: {self.graph.sha256 or 'unknown'}"
        yield f" * Target: {self.program.target}, planned by {self.program.strategy}"
        yield " */"

    def _operand_macros(self, kind: str, tensors: tuple[Tensor, ...]) -> Iterator[str]:
        yield f"#define {self.macro}_{kind}S {len(tensors)}"
        for i, tensor in enumerate(tensors):
            macro = f"{self.macro}_{kind}_{i}"
            shape = "x".join(map(str, tensor.shape)) or "scalar"
            yield f"/* {quoted(tensor.name)}, {tensor.dtype} {shape}{_scale(tensor)} */"
            yield f"#define {macro}_BYTES {tensor.bytes}"
            yield f"#define {macro}_TYPE {C_TYPES[tensor.dtype]}"
            yield f"#define {macro}_RANK {len(tensor.shape)}"
            yield f"#define {macro}_SHAPE {{{', '.join(map(str, tensor.shape)) or '1'}}}"
            yield f"#define {macro}_ELEMENTS {tensor.elements}"
            if tensor.quantization is not None and not tensor.quantization.per_axis:
                yield f"#define {macro}_SCALE {float(np.float32(tensor.scale))!r}f"
                yield f"#define {macro}_ZERO_POINT ({tensor.zero_point})"

    # ---- the rest ----

    def source(self) -> Iterator[str]:
        yield from self._title()
        yield "#if defined(__GNUC__) && !defined(__clang__)"
        yield '#pragma GCC optimize("Os") /* the time goes into the kernels */'
        yield "#endif"
        yield ""
        yield f'#include "{self.name}.h"'
        yield ""
        yield "#include <string.h>"
        yield ""
        yield f'#include "{KERNELS_HEADER}"'
        yield '#include "midge_memory.h"'
        if self.hook:
            yield f'#include "{self.hook}.h"'
        yield ""
        if self.program.items:  # a model of reshapes alone has nothing to call
            if self.addresses.several:
                yield from self.addresses.offsets()
                yield from self.addresses.constants(_byte_lines)
            else:
                yield from _byte_array("constants", self.program.constants)
        for index, tensor in enumerate(self.program.outputs):
            if tensor.data is not None:
                yield ""
                yield from _byte_array(f"output_{index}", tensor.data.tobytes())
        for index, value in self._patterned_state():
            yield ""
            yield from _byte_array(f"state_{index}", value.tobytes())
        yield ""
        yield from self.calls.definitions()
        yield from self._functions()

    def _patterned_state(self) -> Iterator[tuple[int, np.ndarray]]:
        """State tensors whose initial bytes aren't all the same."""
        for index, value in self.program.state.items():
            if _fill_byte(value) is None:
                yield index, value

    def _functions(self) -> Iterator[str]:
        p, macro, prefix = self.program, self.macro, self.prefix
        yield f"int {prefix}_init(void *arena, size_t arena_bytes)"
        yield "{"
        yield "    if (arena == NULL)"
        yield f"        return {macro}_NO_ARENA;"
        yield f"    if ((uintptr_t)arena % {macro}_ARENA_ALIGNMENT != 0)"
        yield f"        return {macro}_ARENA_UNALIGNED;"
        yield f"    if (arena_bytes < {macro}_ARENA_BYTES)"
        yield f"        return {macro}_ARENA_TOO_SMALL;"
        yield from (f"    {line}" for line in self.addresses.checks())
        yield f"    return {prefix}_reset(arena);"
        yield "}"
        yield ""
        yield f"int {prefix}_reset(void *arena)"
        yield "{"
        yield "    if (arena == NULL)"
        yield f"        return {macro}_NO_ARENA;"
        yield from self._state_setting()
        yield f"    return {macro}_OK;"
        yield "}"
        yield ""
        yield from self._run() if self.fed is None else self.fed.functions()
        yield ""
        places = [self._place(tensor) for tensor in p.inputs] if self.fed is None else []
        yield from self._switch(f"void *{prefix}_input(void *arena, int index)", places, "NULL")
        yield ""
        found = [
            self._place(tensor, "const int8_t") if tensor.data is None else f"output_{i}"
            for i, tensor in enumerate(p.outputs)
        ]
        yield from self._switch(
            f"const void *{prefix}_output(const void *arena, int index)", found, "NULL"
        )
        for kind, tensors in (("input", p.inputs), ("output", p.outputs)):
            sizes = [f"{macro}_{kind.upper()}_{i}_BYTES" for i in range(len(tensors))]
            yield ""
            yield from self._switch(f"size_t {prefix}_{kind}_bytes(int index)", sizes, "0")

    def _place(self, tensor: Tensor, element: str = "int8_t") -> str:
        return self.addresses.place(self.program.addresses[tensor.index], element)

    def _switch(self, signature: str, answers: list[str], otherwise: str) -> Iterator[str]:
        yield signature
        yield "{"
        if "void *arena" in signature and not any(")arena +" in answer for answer in answers):
            yield "    (void)arena;"
        yield "    switch (index) {"
        for i, answer in enumerate(answers):
            yield f"    case {i}:"
            yield f"        return {answer};"
        yield "    default:"
        yield f"        return {otherwise};"
        yield "    }"
        yield "}"

    def _state_setting(self) -> Iterator[str]:
        if self.fed is not None:
            yield from (f"    {line}" for line in self.fed.reset())
        for index, value in self.program.state.items():
            at, fill = self.addresses.place(self.program.addresses[index]), _fill_byte(value)
            yield f"    /* {quoted(self.graph.tensors[index].name)} */"
            if fill is None:
                yield f"    memcpy({at}, state_{index}, {value.nbytes});"
            else:
                yield f"    memset({at}, {fill}, {value.nbytes});"

    def _run(self) -> Iterator[str]:
        yield f"int {self.prefix}_run(void *arena_start)"
        yield "{"
        yield f"    int8_t *arena = {self.addresses.base('arena_start')};"
        yield f"    if (arena{'_start' if self.addresses.several else ''} == NULL)"
        yield f"        return {self.macro}_NO_ARENA;"
        items = self.program.items
        for item in items if self.hook else self.calls.sequences(items):
            yield ""
            if isinstance(item, Loop):
                yield from self._loop(item)
            else:
                lines = (
                    self.calls.table(item)
                    if isinstance(item, list)
                    else self.calls.statements(item)
                )
                yield from (f"    {line}" for line in lines)
        yield f"    return {self.macro}_OK;"
        yield "}"

    def _loop(self, loop: Loop) -> Iterator[str]:
        yield f"    for (int pass = 0; pass < {loop.count}; pass++) {{"
        for position, call in enumerate(loop.body):
            steps = steps_of(loop, position)
            yield from (f"        {line}" for line in self.calls.statements(call, steps))
        yield "    }"

    def _hooked(self, call: Call, statement: str) -> str:
        if self.hook is None:
            return statement
        if self.hook == TRACE:
            dumped = self._tracer.statements(call, self._steps[id(call)])
            return " ".join((statement, *dumped))
        return f"midge_profile_begin(); {statement} midge_profile_end({self._numbers[id(call)]});"

    @cached_property
    def _tracer(self) -> Tracer:
        return Tracer(self.program, self.addresses)

    @cached_property
    def _steps(self) -> dict[int, Steps]:
        """id of a call -> its steps, if it is in a loop."""
        return {
            id(call): steps_of(item, position)
            for item in self.program.items
            for position, call in enumerate(item.body if isinstance(item, Loop) else (item,))
        }

    @cached_property
    def _numbers(self) -> dict[int, int]:
        """id of a call -> its number in the program's text."""
        return {id(call): number for number, call in enumerate(self.program.calls())}


def _scale(tensor: Tensor) -> str:
    if tensor.quantization is None or tensor.quantization.per_axis:
        return ""
    return f", real = {tensor.scale!r} * (q - {tensor.zero_point})"


def _fill_byte(value: np.ndarray) -> int | None:
    content = set(value.tobytes())
    return content.pop() if len(content) == 1 else None


def _byte_array(name: str, content: bytes) -> Iterator[str]:
    values = np.frombuffer(content or b"\0", np.int8).tolist()
    yield f"static const int8_t {name}[{len(values)}] MIDGE_ALIGNED({C_ALIGNMENT}) = {{"
    yield from _byte_lines(content or b"\0")
    yield "};"


def _byte_lines(content: bytes) -> Iterator[str]:
    values = np.frombuffer(content, np.int8).tolist()
    for begin in range(0, len(values), BYTES_A_LINE):
        line = ", ".join(map(str, values[begin : begin + BYTES_A_LINE]))
        yield f"    /* {begin} */ {line},"


def _enumerated(members: Sequence[str]) -> Iterator[str]:
    """With a comma after each but the last, before its comment."""
    for number, member in enumerate(members):
        name, space, comment = member.partition(" /*")
        comma = "," if number < len(members) - 1 else ""
        yield f"    {name}{comma}{space}{comment}"
