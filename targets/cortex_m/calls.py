"""The kernel calls of a program in C: their parameters, and the statements that make them.

A node that is called more than once makes other rows each time: its calls differ in the number of
rows and, in step with the first row, in some cursors. One struct in flash stands for all of them:
a call more is a line of a table, four bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...runtime.feeding import FEED
from ...runtime.graph import Graph
from ...runtime.program import Call, Loop, Program
from .addresses import Addresses
from .sources import c_field, c_name, params_type
from .turns import FAILED, loop_function

Steps = Sequence[tuple[str, int]]  # (field, by) of a call in a loop
ROWS = "rows"
FEWEST_STEPS = 8  # calls that are worth a table


@dataclass
class _Uses:
    """The calls of one node, with their steps; `name` ends the names of what is printed for it."""

    name: str
    kernel: str
    calls: list[tuple[Call, Steps]] = field(default_factory=list)

    @property
    def base(self) -> Mapping[str, int]:
        return self.calls[0][0].args

    @cached_property
    def direction(self) -> Mapping[str, int] | None:
        """By what each field moves when the calls' one number grows by 1; None if there is none."""
        moves = [move for call, steps in self.calls for move in self._moves(call, steps)]
        first = next((move for move in moves if any(move.values())), {})
        divisor = math.gcd(*first.values()) or 1
        least = {name: by // divisor for name, by in first.items() if by}
        counts = [_multiple(move, least) for move in moves]
        if any(count is None for count in counts):
            return None
        common = math.gcd(*(count for count in counts if count is not None))
        return {name: by * common for name, by in least.items()}

    def _moves(self, call: Call, steps: Steps) -> Iterator[dict[str, int]]:
        """How far the call is from the first one, and how far it moves in each pass of its loop."""
        yield {n: value - self.base[n] for n, value in call.args.items() if n != ROWS}
        yield {n: sum(by for name, by in steps if name == n) for n in call.args if n != ROWS}

    def numbers(self, call: Call, steps: Steps) -> tuple[int, int]:
        """The call's number, and by what it grows in each pass."""
        unit = self.direction
        assert unit is not None
        begin, by = (_multiple(move, unit) for move in self._moves(call, steps))
        assert begin is not None and by is not None
        return begin, by

    @cached_property
    def rows_differ(self) -> bool:
        return len({call.args.get(ROWS) for call, _ in self.calls}) > 1

    @property
    def is_repeated(self) -> bool:
        """True if the calls differ in a number and their rows alone."""
        return bool(self.direction) or (self.direction is not None and self.rows_differ)


def _multiple(move: Mapping[str, int], unit: Mapping[str, int]) -> int | None:
    """How many units a move is; None if it is no whole number of them."""
    count = next((move[name] // by for name, by in unit.items()), 0)
    same = all(by == count * unit.get(name, 0) for name, by in move.items())
    return count if same else None


@dataclass(frozen=True)
class CallPrinter:
    """Prints the calls of one program; `wrapped` may put something round a call's statement.

    `constants` is the variable that holds them, `endless` what a function answers in which a loop
    of the model does not end. What is defined is called by names that begin with `prefix`.
    """

    program: Program
    wrapped: Callable[[Call, str], str]
    addresses: Addresses
    endless: str
    constants: str = "constants"
    prefix: str = ""

    @property
    def _graph(self) -> Graph:
        return self.program.graph

    @cached_property
    def _uses(self) -> Mapping[tuple[int, str], _Uses]:
        """(node, kernel) -> the calls."""
        found: dict[tuple[int, str], _Uses] = {}
        for item in self.program.items:
            for position, call in enumerate(item.body if isinstance(item, Loop) else (item,)):
                if call.kernel != FEED:
                    name = f"{self.prefix}{c_name(self._graph.nodes[call.node].op)}_{call.node}"
                    uses = found.setdefault((call.node, call.kernel), _Uses(name, call.kernel))
                    uses.calls.append((call, steps_of(item, position)))
        return found

    @cached_property
    def _moved(self) -> Mapping[str, list[str]]:
        """Kernel -> the fields that move in calls of nodes that are called more than once."""
        found: dict[str, dict[str, None]] = {}
        for uses in self._uses.values():
            if uses.is_repeated:
                found.setdefault(uses.kernel, {}).update(dict.fromkeys(uses.direction or ()))
        return {kernel: list(names) for kernel, names in found.items()}

    def definitions(self) -> Iterator[str]:
        """The parameters, and how nodes are called that are called more than once."""
        node = f"{self.prefix}node"
        if self._moved:
            most = max(1, *(len(names) for names in self._moved.values()))
            yield "/* A node that is called more than once: fields move by `at` times `moves`. */"
            yield f"struct {node} {{"
            yield "    int32_t kernel;"
            yield "    const void *params;"
            yield f"    int32_t moves[{most}];"
            yield "};"
            yield ""
        for kernel, names in self._moved.items():
            yield from self._maker(kernel, names)
        if self._moved:
            # No pointers to functions: what may call what is plain to the linker and to readers.
            yield f"static void {self.prefix}make({self._made_with})"
            yield "{"
            yield "    switch (node->kernel) {"
            for number, kernel in enumerate(self._moved):
                yield f"    case {number}:"
                yield f"        {self.prefix}make_{kernel}(arena, {self._passed}node, at, rows);"
                yield "        break;"
            yield "    default:"
            yield "        break;"
            yield "    }"
            yield "}"
            yield ""
        for uses in self._uses.values():
            if uses.is_repeated:
                call = uses.calls[0][0]
                yield from self._params(f"params_{uses.name}", call)
                moves = [(uses.direction or {}).get(name, 0) for name in self._moved[uses.kernel]]
                yield f"/* {self.describe(call)} */"
                yield f"static const struct {node} {uses.name} = {{"
                by = ", ".join(map(str, moves or [0]))
                number = list(self._moved).index(uses.kernel)
                yield f"    {number}, &params_{uses.name}, {{{by}}}}};"
                yield ""
                continue
            for number, (call, _) in enumerate(uses.calls):
                if call.parts:
                    yield from loop_function(uses.name, call, list(self._parts(uses.name, call)))
                    continue
                yield from self._params(_params_name(uses, number), call)

    def _params(self, name: str, call: Call) -> Iterator[str]:
        yield f"static const {params_type(call.kernel)} {name} = {{"
        for field_name in call.args:
            yield f"    .{c_field(field_name)} = {self.addresses.word(call, field_name)},"
        yield "};"
        yield ""

    def _maker(self, kernel: str, names: Sequence[str]) -> Iterator[str]:
        has_rows = any(
            ROWS in call.args
            for uses in self._uses.values()
            if uses.kernel == kernel
            for call, _ in uses.calls
        )
        yield f"static void {self.prefix}make_{kernel}({self._made_with})"
        yield "{"
        yield f"    {params_type(kernel)} here = *(const {params_type(kernel)} *)node->params;"
        yield "    here.rows = rows;" if has_rows else "    (void)rows;"
        if not names:
            yield "    (void)at;"
        for i, name in enumerate(names):
            yield f"    here.{c_field(name)} += at * node->moves[{i}];"
        yield f"    midge_{kernel}(arena, {self.constants}, &here);"
        yield "}"
        yield ""

    @property
    def _made_with(self) -> str:
        """Parameters of what makes a node; those of a loop's part are given their constants."""
        given = f"const int8_t *{self.constants}, " if self.prefix else ""
        node = f"const struct {self.prefix}node *node"
        return f"int8_t *arena, {given}{node}, int32_t at, int32_t rows"

    @property
    def _passed(self) -> str:
        return f"{self.constants}, " if self.prefix else ""

    def _parts(self, name: str, call: Call) -> Iterator[CallPrinter]:
        """Printers of a loop's condition and body."""
        for part, kind in zip(call.parts, ("condition", "body"), strict=True):
            constants = f"of_{kind}"
            addresses = Addresses(part, self.addresses.alignment)
            yield CallPrinter(
                part, lambda _, line: line, addresses, str(FAILED), constants, f"{name}_{kind}_"
            )

    def sequences(self, items: Sequence[Call | Loop]) -> Iterator[list[Call] | Call | Loop]:
        """The items, with neighbouring calls of repeated nodes as lists that a table can hold."""
        held: list[Call] = []
        for item in items:
            if isinstance(item, Call) and self._is_tabled(item):
                held.append(item)
                continue
            yield from [held] if len(held) >= FEWEST_STEPS else held
            held = []
            yield item
        yield from [held] if len(held) >= FEWEST_STEPS else held

    def _is_tabled(self, call: Call) -> bool:
        uses = self._uses.get((call.node, call.kernel))
        if uses is None or not uses.is_repeated:
            return False
        begin, _ = uses.numbers(call, ())
        return -(1 << 15) <= begin < 1 << 15 and call.args.get(ROWS, 0) < 1 << 8

    def table(self, calls: Sequence[Call]) -> Iterator[str]:
        """A block that makes calls of such nodes: four bytes each."""
        made = list(dict.fromkeys((call.node, call.kernel) for call in calls))
        number = {key: at for at, key in enumerate(made)}
        yield "{"
        yield f"    static const struct {self.prefix}node *const nodes[] = {{"
        yield from (f"        &{self._uses[key].name}," for key in made)
        yield "    };"
        yield "    static const struct {"
        yield f"        uint{8 if len(made) <= 256 else 16}_t node;"
        yield "        uint8_t rows;"
        yield "        int16_t at;"
        yield "    } steps[] = {"
        for call in calls:
            key = call.node, call.kernel
            begin, _ = self._uses[key].numbers(call, ())
            step = f"{{{number[key]}, {call.args.get(ROWS, 0)}, {begin}}},"
            yield f"        {step} /* {self._uses[key].name} */"
        yield "    };"
        yield f"    for (int i = 0; i < {len(calls)}; i++) {{"
        yield f"        const struct {self.prefix}node *const node = nodes[steps[i].node];"
        yield f"        {self.prefix}make(arena, {self._passed}node, steps[i].at, steps[i].rows);"
        yield "    }"
        yield "}"

    def statements(self, call: Call, steps: Steps = ()) -> Iterator[str]:
        """The lines that make a call; in a loop, `pass` is the number of the pass."""
        uses = self._uses[call.node, call.kernel]
        if uses.is_repeated:
            yield self.wrapped(call, self._function_call(uses, call, steps))
            return
        number = next(n for n, (other, _) in enumerate(uses.calls) if other is call)
        name = _params_name(uses, number)
        yield f"/* {self.describe(call)} */"
        if call.parts:
            run = f"if ({uses.name}(arena, {self.constants}) != 0) return {self.endless};"
            yield self.wrapped(call, run)
            return
        if not any(by for _, by in steps):
            yield self.wrapped(call, f"midge_{call.kernel}(arena, {self.constants}, &{name});")
            return
        yield "{"
        yield f"    {params_type(call.kernel)} here = {name};"
        for field_name, by in steps:
            yield f"    here.{c_field(field_name)} += pass * {by};"
        yield "    " + self.wrapped(call, f"midge_{call.kernel}(arena, {self.constants}, &here);")
        yield "}"

    def _function_call(self, uses: _Uses, call: Call, steps: Steps) -> str:
        begin, by = uses.numbers(call, steps)
        step = "pass" if by == 1 else f"pass * {by}"
        at = " + ".join([str(begin)] * (not by or begin != 0) + [step] * (by != 0))
        made = f"{self._passed}&{uses.name}, {at}, {call.args.get(ROWS, 0)}"
        return f"{self.prefix}make(arena, {made});"

    def describe(self, call: Call) -> str:
        """Node, operator and where its operands lie."""
        node = self._graph.nodes[call.node]
        reads = ", ".join(
            self._where(t) for t in node.operands if not self._graph.tensors[t].constant
        )
        writes = ", ".join(self._where(t) for t in node.outputs)
        label = f" {quoted(node.name)}" if node.name else ""
        return f"{call.node}: {node.op}{label}, arena {reads or 'nothing'} -> {writes}"

    def _where(self, index: int) -> str:
        at = self.program.addresses.get(index)
        if at is None:
            return "rows in a ring"
        return self.addresses.where(at, self._graph.tensors[index].bytes)


def steps_of(item: Call | Loop, position: int) -> Steps:
    """What moves in the call at a position of a loop's body."""
    if isinstance(item, Call):
        return ()
    return [(step.field, step.by) for step in item.steps if step.call == position]


def _params_name(uses: _Uses, number: int) -> str:
    return f"params_{uses.name}" + (f"_{number}" if len(uses.calls) > 1 else "")


def quoted(text: str) -> str:
    """A name from a model file, safe inside a C comment."""
    plain = "".join(c if c.isprintable() and c.isascii() else "_" for c in text)
    return '"' + plain.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *") + '"'
