"""Modelled cycles of a Cortex-M4 with memory that never waits, from a trace of QEMU.

Instructions are not cycles: LDM of four words is one instruction and five cycles. The model is
coarse (Arm's Cortex-M4 technical reference manual, "instruction set summary"): one cycle an
instruction; LDM, STM, PUSH and POP one more for each register; LDRD and STRD three; a load two, or
one behind another load or store; a branch three, taken or not; a write of PC two more.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import ExecutionError
from .qemu import find_tool

_LISTED = re.compile(r"0x([0-9a-f]+):\s+(?:[0-9a-f]{4} )?[0-9a-f]{4}\s+(\S+)\s*(.*)")
_EXECUTED = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/\S+\] ?(\S*)")
_MANY = re.compile(r"(ldm|stm|push|pop)")
_BRANCH = re.compile(
    r"(b|bl|bx|blx|cbz|cbnz|tbb|tbh)(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?(\.[nw])?$"
)
_NUMBERS = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
_PAUSE = "counter_measure"  # of the firmware: runs before and after what it measures


@dataclass(frozen=True)
class Cost:
    """Of a piece of a program."""

    instructions: int
    cycles: int


def traced_cost(
    elf: Path,
    program: str,
    machine: str,
    folder: Path,
    arguments: Sequence[str] = (),
    entry: str = "midge_model_run",
) -> Cost:
    """What the firmware spends from its first entry into a function until the count ends."""
    command = [
        str(find_tool(program)),
        *("-M", machine, *arguments),
        *("-display", "none", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-d", "in_asm,exec,nochain"),
        *("-kernel", str(elf.resolve())),
    ]
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            cost = trace_cost(process.stderr, entry)
        except BaseException:
            process.kill()
            raise
    if process.returncode or cost is None:
        raise ExecutionError(f"the firmware failed on the emulated {machine}, under a trace")
    return cost


def trace_cost(lines: Iterable[str], entry: str) -> Cost | None:
    """The cost of a trace's blocks from the first in `entry` on; None if it is never entered.

    QEMU lists the instructions of a block when it translates it, and says each time that it runs.
    """
    blocks: dict[int, Cost] = {}
    listed: list[tuple[int, str, str]] = []
    instructions = cycles = 0
    inside = ended = False
    for line in lines:
        executed = _EXECUTED.match(line)
        if executed is None:
            found = _LISTED.match(line)
            if found is not None:
                listed.append((int(found[1], 16), found[2], found[3]))
            continue
        if listed:
            blocks[listed[0][0]] = block_cost([text for _, *text in listed])
            listed = []
        inside = inside or executed[2] == entry
        ended = ended or (inside and executed[2] == _PAUSE)
        if inside and not ended:
            cost = blocks[int(executed[1], 16)]
            instructions += cost.instructions
            cycles += cost.cycles
    return Cost(instructions, cycles) if inside else None


def block_cost(block: Sequence[Sequence[str]]) -> Cost:
    """Of instructions, each a mnemonic and its operands, one behind the other."""
    before, cycles = "", 0
    for mnemonic, operands in block:
        cycles += instruction_cycles(mnemonic, operands, before)
        before = mnemonic
    return Cost(len(block), cycles)


def instruction_cycles(mnemonic: str, operands: str, before: str) -> int:
    """Of one instruction behind the one called `before`."""
    jumps = 2 if operands.startswith("pc,") or re.search(r"pc\}", operands) else 0
    if _MANY.match(mnemonic):
        return 1 + _registers(operands) + jumps
    if mnemonic.startswith(("ldrd", "strd")):
        return 3
    if mnemonic.startswith("ldr"):
        hidden = before.startswith(("ldr", "str")) and not before.startswith(("ldrd", "strd"))
        return (1 if hidden else 2) + jumps
    return 3 if _BRANCH.match(mnemonic) else 1


def _registers(operands: str) -> int:
    """How many a list in braces names."""
    inner = operands[operands.index("{") + 1 : operands.index("}")]
    count = 0
    for part in inner.split(","):
        ends = [_number(name.strip()) for name in part.split("-")]
        count += ends[-1] - ends[0] + 1
    return count


def _number(register: str) -> int:
    return _NUMBERS[register] if register in _NUMBERS else int(register[1:])
