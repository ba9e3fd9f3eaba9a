"""Limits as input: the plan that keeps to the memory there is, or what each strategy would need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .errors import PlanError
from .planner import MOST_EXTRA, NAMES, Planner
from .program import Program
from .strips import least_bytes

Way = tuple[int, str]  # bytes that a way to run the model needs, and the way in words
FEWEST = 1  # byte of room: no more than the least for any kernel


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
    ways, granted = list[Way](), replace(planner, room=ram)
    for strategy in strategies:
        program = granted.plan(strategy)
        if program.arena_bytes <= ram:
            patches = strategy == "patches" and planner.least_in_patches(ram, MOST_EXTRA)
            return patches or program
        ways.append((program.arena_bytes, NAMES[strategy]))
    strips = planner.least_arithmetic(ram, most_extra)
    if strips is not None:
        return strips
    ways += _in_strips_at_least(planner, most_extra)
    ways += _by_row_ways(by_row, ram, most_extra)
    raise PlanError(f"the arena needs {_in_words(ways)}, --ram grants {ram:,}; {_largest(program)}")


def in_memories(
    planner: Planner,
    strategies: Sequence[str],
    max_extra_macs: float | None = None,
    by_row: Callable[[], Planner | None] | None = None,
    fewest: bool = True,
) -> Program:
    """The plan of these strategies that uses the slower of `memories` least.

    Of several that do, the one with the fewest bytes, or without `fewest` the first. If none fits,
    one in strips that does, with at most `max_extra_macs` of extra arithmetic (None: as much as the
    model has). Raises `PlanError` as `within` does.
    """
    plans = [planner.plan(strategy, max_extra_macs) for strategy in strategies]
    best = min(plans, key=lambda plan: planner.rank(plan)[: 3 if fewest else 2])
    if best.spread is not None:
        return best
    most = MOST_EXTRA if max_extra_macs is None else max_extra_macs
    sizes = [grant.bytes for grant in planner.memories]
    for limit in (sum(sizes), max(sizes)) if most else ():
        strips = planner.least_arithmetic(limit, most)
        if strips is not None and strips.spread is not None:
            return strips
    least = replace(planner, memories=(), room=FEWEST)
    ways = [(least.plan(strategy).arena_bytes, NAMES[strategy]) for strategy in strategies]
    ways += _in_strips_at_least(least, most) if most else []
    ways += _by_row_ways(by_row, sum(sizes), most)
    granted = " and ".join(f"{grant.bytes:,} in {grant.name}" for grant in planner.memories)
    raise PlanError(
        f"the arena needs {_in_words(ways)}, --memory grants {granted}; {_largest(best)}"
    )


def _by_row_ways(
    by_row: Callable[[], Planner | None] | None, ram: int, most_extra: float
) -> list[Way]:
    """What would be needed if the input came by row."""
    fed = by_row() if by_row is not None else None
    if fed is None:
        return []
    fed = replace(fed, room=ram, memories=())
    rows = fed.plan("rows").arena_bytes
    ways = [(rows, "if the input comes by row")]
    if rows > ram:
        fitting = fed.least_arithmetic(ram, most_extra)
        least = _in_strips_at_least(fed, most_extra) if fitting is None else [_strips(fitting)]
        ways += [(size, f"{words} and the input by row") for size, words in least]
    return ways


def _in_strips_at_least(planner: Planner, most_extra: float) -> list[Way]:
    """The fewest bytes in strips, if strips are of use."""
    point = least_bytes(planner.strip_costs(), planner.macs(most_extra))
    program = planner.in_strips(point) if point.extra_macs else None
    return [_strips(program)] if program is not None else []


def _strips(program: Program) -> Way:
    more = f"{100 * program.extra_part:.1f} % more arithmetic"
    return program.arena_bytes, f"in strips with {more}"


def _in_words(ways: Sequence[Way]) -> str:
    """Each way that needs less than all before it."""
    told = list[Way]()
    for size, words in ways:
        if not told or size < told[-1][0]:
            told.append((size, words))
    return " or ".join(f"{size:,} bytes {words}" for size, words in told)


def _largest(program: Program) -> str:
    largest = max(program.buffers, key=lambda b: b.size)
    return f"its largest buffer is {largest.kind} {largest.name!r} with {largest.size:,} bytes"
