"""Which layer sets the peak of a plan, and what would lower it: every answer is a plan, made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from ..runtime.errors import MidgeError
from ..runtime.options import Options
from ..runtime.plan_cache import compile_cached
from ..runtime.program import Buffer, Loop, Program

STRIPS = 0.1  # part of the model's multiplications that is tried
MOST_NAMED = 4  # buffers at the peak, operators of a segment


@dataclass(frozen=True)
class Peak:
    """The item of a program at which its buffers reach highest into the arena."""

    item: int
    nodes: tuple[int, ...]  # operators, by their numbers in the model file where they have one
    operators: str  # in words
    buffers: tuple[Buffer, ...]  # alive there, the largest first


@dataclass(frozen=True)
class Remedy:
    """An option that would lower the arena, and what the plan would then be."""

    option: str
    what: str
    program: Program


def peak_of(program: Program) -> Peak:
    """Of several, that where most is alive. Buffers that are always there don't decide on it."""
    steps = range(len(program.items))
    passing = [b for b in program.buffers if b.first >= 0 or b.last < len(program.items)]

    def top(step: int) -> tuple[int, int]:
        live = [b for b in passing if b.first <= step <= b.last]
        return max((b.offset + b.size for b in live), default=0), sum(b.size for b in live)

    item = max(steps, key=top, default=0)
    alive = [b for b in program.buffers if b.first <= item <= b.last]
    numbers, words = _operators(program, item)
    return Peak(item, numbers, words, tuple(sorted(alive, key=lambda b: -b.size)))


def _operators(program: Program, item: int) -> tuple[tuple[int, ...], str]:
    if not program.items:
        return (), "nothing"
    entry = program.items[item]
    named: dict[int, str] = {}
    for call in entry.body if isinstance(entry, Loop) else (entry,):
        node = program.graph.nodes[call.node]
        number = call.node if node.origin is None else node.origin
        named[number] = "the input" if node.op == "feed" else f"{node.op} {number}"
    words = list(named.values())
    left = len(words) - MOST_NAMED
    shown = words if left <= 1 else [*words[: MOST_NAMED - 1], f"{left} more", words[-1]]
    return tuple(named), " + ".join(shown)


def kind_of(program: Program, buffer: Buffer) -> str:
    """A tensor that lies nowhere whole is a ring of its rows."""
    streamed = buffer.tensor is not None and buffer.tensor not in program.addresses
    return "ring" if streamed else buffer.kind


def remedies(model: Path, program: Program, options: Options) -> list[Remedy]:
    """The options that need fewer bytes, those that save least first; `options` made `program`."""
    found = []
    for option, what, other in _others(program, replace(options, ram=None, memories=())):
        with suppress(MidgeError):  # not every input can come by row, not every target streams
            plan = compile_cached(model, program.target, other)
            if plan.arena_bytes < program.arena_bytes:
                found.append(Remedy(option, what, plan))
    return sorted(found, key=lambda remedy: -remedy.program.arena_bytes)


def _others(program: Program, options: Options) -> Iterator[tuple[str, str, Options]]:
    by_row = ("--input-by-row", "the input by row")
    strips = (f"--max-extra-macs {STRIPS}", "strips")
    if program.strategy == "layers" and not options.input_by_row:
        yield "--strategy rows", "layers row by row", replace(options, strategy="rows")
    if not options.frugal and program.scratch_bytes:
        yield "--frugal", "kernels with less scratch", replace(options, frugal=True)
    fed = replace(options, input_by_row=True, strategy=None)
    if not options.input_by_row:
        yield *by_row, fed
    if not options.max_extra_macs:
        cut = {"max_extra_macs": STRIPS, "strategy": None}
        yield *strips, replace(options, **cut)  # type: ignore[arg-type]
        if not options.input_by_row:
            both = replace(fed, **cut)  # type: ignore[arg-type]
            yield f"{by_row[0]} {strips[0]}", f"{by_row[1]}, {strips[1]}", both
    borders = ("quantize", "dequantize")
    if not options.int8_io and any(n.op in borders for n in program.graph.nodes):
        yield "--int8-io", "the border left to the caller", replace(options, int8_io=True)


def advice_section(program: Program, found: list[Remedy]) -> str:
    """The peak and what would lower it, as HTML."""
    peak = peak_of(program)
    parts = [f"{kind_of(program, b)} {b.size:,}" for b in peak.buffers[:MOST_NAMED]]
    left = len(peak.buffers) - MOST_NAMED
    parts += [f"{left} more"] if left > 0 else []
    text = (
        f"<h2>What sets the peak, and what would lower it</h2><p>{escape(peak.operators)}, step "
        f"{peak.item}. Alive there, perhaps on each other, in bytes: {', '.join(parts)}."
    )
    if not found:
        return f"{text} No option of the planner needs fewer.</p>"
    rows = "".join(_row(program, remedy) for remedy in found)
    head = (
        "<tr><th>with<th class=n>bytes<th class=n>saved<th class=n>extra MACs<th>then it is set by"
    )
    return f"{text}</p><div class=scroll><table>{head}{rows}</table></div>"


def _row(program: Program, remedy: Remedy) -> str:
    plan = remedy.program
    saved = 100 * (1 - plan.arena_bytes / program.arena_bytes)
    extra = f"{100 * plan.extra_part:.1f} %" if plan.extra_macs else "none"
    return (
        f"<tr><td>{remedy.what}<br><code>{remedy.option}</code><td class=n>{plan.arena_bytes:,}"
        f"<td class=n>{saved:.0f} %<td class=n>{extra}<td>{escape(peak_of(plan).operators)}"
    )


def as_json(found: list[Remedy]) -> list[dict[str, object]]:
    """For machines."""
    return [
        {
            "option": remedy.option,
            "arena_bytes": remedy.program.arena_bytes,
            "extra_macs": remedy.program.extra_part,
            "set_by": list(peak_of(remedy.program).nodes),
        }
        for remedy in found
    ]
