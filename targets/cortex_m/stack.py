"""How deep the stack can grow, from the compiler's word and the machine code: nothing is run.

The compiler states the frame of each function and which calls go through pointers (GCC's
`-fcallgraph-info=su`). Who calls whom, and what the libraries and assembly push, is read from the
linked code. A call through a pointer may go to any function whose address stands in the data of the
same file, or is taken by code, in any file; that none of them leads back to the caller is believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...runtime.errors import TargetError
from ...sim.qemu import find_tool, run_tool

CALL_GRAPH = "-fcallgraph-info=su"  # the compiler's option; writes a .ci file beside each object
TIMEOUT_S = 60.0

_NODE = re.compile(r'node: \{ title: "(?:[^":]*:)?([^"]+)" label: "[^"]*?(\d+) bytes \(([\w,]+)\)')
_INDIRECT = re.compile(r'sourcename: "(?:[^":]*:)?([^"]+)" targetname: "__indirect_call"')
_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_CODE = re.compile(r"^\s*[0-9a-f]+:\s+(\S+)\s*(.*)$")
_TARGET = re.compile(r"\b([0-9a-f]+) <([^>+]+)(?:\+0x([0-9a-f]+))?>")
_COMMENT = re.compile(r"\s[;@#]\s")
_RELOCATION = re.compile(r"^[0-9a-f]+\s+(R_\S+)\s+(?:\.text\.)?([\w.$]+)")
_CALLS = ("bl", "jal")  # a branch to a function's own start is a loop
_ENDS = re.compile(r"^(b|b\.n|b\.w|bx|j|jr|ret|udf|\.word|\.short|nop|\.inst)$")


@dataclass
class _Function:
    name: str
    frame: int = 0  # bytes that its instructions push
    calls: set[int] = field(default_factory=set)
    falls: bool = False  # into the next one


@dataclass(frozen=True)
class StackBounds:
    """Of a linked file; `objects` are those that were compiled with `CALL_GRAPH`."""

    elf: Path
    objects: Sequence[Path]
    compiler: str

    def of(self, root: str) -> int:
        """Most bytes of stack that a call of a function takes, its callees' included.

        Raises `TargetError` if a function calls itself, or takes room that only running it tells.
        """
        starts = [at for at, function in self._functions.items() if function.name == root]
        if not starts:
            raise TargetError(f"{self.elf.name} has no function {root}")
        return max(self._depth(at, (), {}) for at in starts)

    @cached_property
    def names(self) -> set[str]:
        """Of all functions."""
        return {function.name for function in self._functions.values()}

    def _depth(self, at: int, path: tuple[int, ...], known: dict[int, int]) -> int:
        """Of one function that was reached by this path; `known` has those that any path gives."""
        if at in known:
            return known[at]
        function = self._functions[at]
        if at in path:
            raise TargetError(f"the stack has no bound: {function.name} calls itself")
        pointed = self._pointed(function.name)
        callees = function.calls | (pointed - {*path, at})
        deepest = max((self._depth(c, (*path, at), known) for c in callees), default=0)
        depth = self._frame(function) + deepest
        if not self._indirect:
            known[at] = depth
        return depth

    def _frame(self, function: _Function) -> int:
        """The compiler's own word, but for functions of assembly, of which it says 0."""
        size, kind = self._stated.get(function.name, (0, "static"))
        if kind == "dynamic":
            raise TargetError(f"the stack has no bound: {function.name} takes what its data says")
        return size or function.frame

    def _pointed(self, name: str) -> set[int]:
        """What a function's calls through pointers may lead to."""
        if name not in self._indirect:
            return set()
        stored = self._stored.get(self._indirect[name], set())
        names = stored.union(*self._passed.values())
        return {at for at, function in self._functions.items() if function.name in names}

    # ---- what the compiler says ----

    @cached_property
    def _stated(self) -> dict[str, tuple[int, str]]:
        """Function -> (bytes, how the compiler knows); of equal names the deepest."""
        found: dict[str, tuple[int, str]] = {}
        for item in self.objects:
            for name, size, kind in _NODE.findall(_call_graph(item)):
                found[name] = max(found.get(name, (0, "")), (int(size), kind))
        return found

    @cached_property
    def _indirect(self) -> dict[str, Path]:
        """Functions that call through pointers, and the objects that they are in."""
        return {
            name: item for item in self.objects for name in _INDIRECT.findall(_call_graph(item))
        }

    @cached_property
    def _passed(self) -> dict[Path, set[str]]:
        """Object -> functions whose address its code takes."""
        return {item: self._taken(item, True) for item in self.objects}

    @cached_property
    def _stored(self) -> dict[Path, set[str]]:
        """Object -> functions whose address stands in its data."""
        return {item: self._taken(item, False) for item in self.objects}

    def _taken(self, item: Path, by_code: bool) -> set[str]:
        objdump = find_tool(f"{self.compiler}objdump")
        section, taken = "", set[str]()
        for line in run_tool([objdump, "-r", item], item.parent, TIMEOUT_S).splitlines():
            if line.startswith("RELOCATION"):
                section = line
            relocation = _RELOCATION.match(line)
            if relocation is None or re.search("exidx|eh_frame|vectors|debug", section):
                continue
            calls = re.search("CALL|JUMP|BRANCH|JAL|PREL31", relocation[1])
            if not calls and relocation[2] in self.names and (".text" in section) == by_code:
                taken.add(relocation[2])
        return taken

    # ---- what the code says ----

    @cached_property
    def _functions(self) -> dict[int, _Function]:
        """Address -> function of the linked file."""
        objdump = find_tool(f"{self.compiler}objdump")
        options = ("-d", "--no-show-raw-insn")
        listing = run_tool([objdump, *options, self.elf], self.elf.parent, TIMEOUT_S)
        found: dict[int, _Function] = {}
        here, at, before = _Function(""), 0, ""
        for line in listing.splitlines():
            if head := _FUNCTION.match(line):
                stated = here.name in self._stated  # the compiler's functions end with a jump,
                ended = stated or before in _CALLS or _ENDS.match(before)  # or in one that does
                here.falls = bool(here.name) and not ended
                at = int(head[1], 16)
                if here.falls:
                    here.calls.add(at)
                here = found[at] = _Function(head[2])
            elif line.startswith("Disassembly"):
                here = _Function("")
            elif code := _CODE.match(line):
                before = code[1] if "pc}" not in code[2] else "bx"
                here.frame += pushed(code[1], code[2])
                target = _TARGET.search(_COMMENT.split(code[2])[0])
                if target and not code[1].startswith("."):
                    start = int(target[1], 16) - int(target[3] or "0", 16)
                    if start != at or (code[1] in _CALLS and not target[3]):
                        here.calls.add(start)
        for function in found.values():
            function.calls &= found.keys()
        return found


def _call_graph(item: Path) -> str:
    path = item.with_suffix(".ci")
    return path.read_text() if path.is_file() else ""


def pushed(name: str, operands: str) -> int:
    """Bytes by which an instruction moves the stack pointer down, on Arm or RISC-V."""
    listed = re.search(r"\{(.*)\}", operands)
    if listed and (name.startswith("push") or (name.startswith("stmdb") and "sp!" in operands)):
        return 4 * _registers(listed[1])
    if listed and name.startswith(("vpush", "vstmdb")):
        return (8 if "d" in listed[1] else 4) * _registers(listed[1])
    if name.startswith("sub") and (down := re.match(r"sp, (?:sp, )?#(\d+)", operands)):
        return int(down[1])
    if name.startswith("str") and (down := re.search(r"\[sp, #-(\d+)\]!", operands)):
        return int(down[1])
    if name in ("add", "addi", "c.addi16sp") and (down := re.match(r"sp,sp,-(\d+)", operands)):
        return int(down[1])
    return 0


def _registers(text: str) -> int:
    """Of a list such as `r4, r5, lr` or `d8-d15`."""
    count = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        count += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count
