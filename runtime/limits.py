"""Limits as input: the plan that keeps to the memory there is, or what each strategy would need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .errors import PlanError
from .planner import MOST_EXTRA, NAMES, Planner
from .program import Program
from .strips import least_bytes


def within(
    planner: Planner,
    ram: int,
    strategies: Sequence[str],
    most_extra: float = 0.0,
    by_row: Callable[[], Planner | None] | None = None,
) -> Program:
    """The plan of the first of these strategies that needs at most `ram` bytes.

    If none does, the one in strips with least extra arithmetic, at most `most_extra` of the
    model's. Raises `PlanError` if that is too much too, with what each would need, and what the
    planner that `by_row` gives would need if the input came by row.
    """
    needs, granted = [], replace(planner, room=ram)
    for strategy in strategies:
        program = granted.plan(strategy)
        if program.arena_bytes <= ram:
            return program
        needs.append(_need(program, strategy))
    strips = planner.least_arithmetic(ram, most_extra)
    if strips is not None:
        return strips
    needs += _in_strips_at_least(planner, most_extra)
    needs += _by_row_needs(by_row, ram, most_extra)
    raise PlanError(
        f"the arena needs {' or '.join(needs)}, --ram grants {ram:,}; {_largest(program)}"
    )


def in_memories(
    planner: Planner,
    strategies: Sequence[str],
    max_extra_macs: float | None = None,
    by_row: Callable[[], Planner | None] | None = None,
) -> Program:
    """The plan of these strategies that uses the slower of `memories` least.

    If none fits, one in strips that does, with at most `max_extra_macs` of extra arithmetic
    (None: as much as the model has). Raises `PlanError` as `within` does.
    """
    plans = [planner.plan(strategy, max_extra_macs) for strategy in strategies]
    best = min(plans, key=planner.rank)
    if best.spread is not None:
        return best
    most = MOST_EXTRA if max_extra_macs is None else max_extra_macs
    sizes = [grant.bytes for grant in planner.memories]
    for limit in (sum(sizes), max(sizes)) if most else ():
        strips = planner.least_arithmetic(limit, most)
        if strips is not None and strips.spread is not None:
            return strips
    needs = [_need(plan, strategy) for strategy, plan in zip(strategies, plans, strict=True)]
    needs += _in_strips_at_least(planner, most) if most else []
    needs += _by_row_needs(by_row, sum(sizes), most)
    granted = " and ".join(f"{grant.bytes:,} in {grant.name}" for grant in planner.memories)
    raise PlanError(
        f"the arena needs {' or '.join(needs)}, --memory grants {granted}; {_largest(best)}"
    )


def _by_row_needs(
    by_row: Callable[[], Planner | None] | None, ram: int, most_extra: float
) -> list[str]:
    """What would be needed if the input came by row, in words."""
    fed = by_row() if by_row is not None else None
    if fed is None:
        return []
    fed = replace(fed, room=ram, memories=())
    rows = fed.plan("rows").arena_bytes
    needs = [f"{rows:,} bytes if the input comes by row"]
    if rows > ram:
        fitting = fed.least_arithmetic(ram, most_extra)
        least = _in_strips_at_least(fed, most_extra) if fitting is None else [_in_words(fitting)]
        needs += [f"{words} and the input by row" for words in least]
    return needs


def _in_strips_at_least(planner: Planner, most_extra: float) -> list[str]:
    """The fewest bytes in strips, in words, if strips are of use."""
    point = least_bytes(planner.strip_costs(), planner.macs(most_extra))
    program = planner.in_strips(point) if point.extra_macs else None
    return [_in_words(program)] if program is not None else []


def _need(program: Program, strategy: str) -> str:
    return f"{program.arena_bytes:,} bytes {NAMES[strategy]}"


def _largest(program: Program) -> str:
    largest = max(program.buffers, key=lambda b: b.size)
    return f"its largest buffer is {largest.kind} {largest.name!r} with {largest.size:,} bytes"


def _in_words(program: Program) -> str:
    more = f"{100 * program.extra_part:.1f} % more arithmetic"
    return f"{program.arena_bytes:,} bytes in strips with {more}"
