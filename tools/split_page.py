"""Latency against bandwidth as one self-contained HTML page: device, server and each planner."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape

from ..runtime.errors import TargetError
from ..runtime.graph import Graph
from ..targets.split.cut import ranges
from ..targets.split.planners import ALGORITHMS, COMPARABLE, Link, Plan, Problem, evaluate
from .plan_page import STYLE

WIDTH, HEIGHT, MARGIN = 960, 480, 64
LABEL = 48  # units that a label takes along the axis
LEAST, MOST, STEPS = 0.01, 1000.0, 81  # Mbit/s, evenly in logarithms
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#9c755f", "#bab0ac")
# Planners of one request's latency that need nothing beyond costs and link.
DRAWN = (*COMPARABLE, "jointdnn", "dads-light")

Line = tuple[str, list[tuple[float, float, int]]]  # (name, [(Mbit/s, ms, nodes here)])


def split_page(problem: Problem, graph: Graph, name: str) -> str:
    """The page, as HTML text that needs no other file."""
    lines, same, missing = _lines(problem)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: split</title><style>{STYLE}</style>"
        f"<h1>{escape(name)}: latency against bandwidth</h1>"
        f"<p>{len(graph.nodes)} nodes, {problem.link.delay_ms:.2f} ms of delay; the link is now "
        f"{problem.link.up / 125:.3g} Mbit/s</p>"
        f"<p class=key>{_key(lines)}</p><p>{_words(same, missing)}</p>"
        f"<div class=scroll>{_drawing(lines)}</div>"
        f"{_table(problem, graph)}</html>\n"
    )


def _lines(problem: Problem) -> tuple[list[Line], list[str], list[str]]:
    """The best plan first, then the two ends, and the planners that differ from the best.

    Then the names of those that are as good at every bandwidth, and of those that need more than a
    page has (exits, bit widths, several devices' times) or plan for something else than latency.
    """
    costs = problem.costs
    lines, same, missing = [_line("auto", problem, ALGORITHMS["auto"])], [], []
    for name, device in (
        ("device only", costs.everything),
        ("server only", frozenset(costs.pinned)),
    ):
        points = [
            (mbit, evaluate(at, device).latency_ms, len(device)) for mbit, at in _sweep(problem)
        ]
        lines.append((name, points))
    for name in ALGORITHMS:
        line = _line(name, problem, ALGORITHMS[name]) if name in DRAWN else (name, [])
        if name != "auto" and not line[1]:
            missing.append(name)
        elif name != "auto" and _apart(line, lines[0]):
            lines.append(line)
        elif name != "auto":
            same.append(name)
    return lines, same, missing


def _apart(line: Line, best: Line) -> bool:
    least = {mbit: ms for mbit, ms, _ in best[1]}
    return any(abs(ms - least[mbit]) > 1e-9 * ms for mbit, ms, _ in line[1] if mbit in least)


def _words(same: Sequence[str], missing: Sequence[str]) -> str:
    """What no line shows."""
    told = f"On auto's line at every bandwidth: {', '.join(same) or 'none'}."
    return f"{told} Not drawn, for they need or plan more than a cut: {', '.join(missing)}."


def _line(name: str, problem: Problem, planner: Callable[[Problem], Plan]) -> Line:
    points = []
    for mbit, at in _sweep(problem):
        try:
            found = planner(at)
        except TargetError:
            continue
        ms = float(found.evidence.get("predicted_ms", found.stages.latency_ms))
        points.append((mbit, ms, len(found.device)))
    return name, points


def _sweep(problem: Problem) -> Iterator[tuple[float, Problem]]:
    ratio = problem.link.down / problem.link.up
    for step in range(STEPS):
        mbit = LEAST * (MOST / LEAST) ** (step / (STEPS - 1))
        link = Link(mbit * 125, mbit * 125 * ratio, problem.link.delay_ms)
        yield mbit, replace(problem, link=link, objective="latency")


def _key(lines: Sequence[Line]) -> str:
    return "".join(
        f"<span><i style='background:{_colour(i)}'></i>{escape(name)}</span>"
        for i, (name, _) in enumerate(lines)
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _drawing(lines: Sequence[Line]) -> str:
    """Both axes in logarithms; the cut stands where the best plan changes."""
    values = [ms for _, points in lines for _, ms, _ in points]
    low, high = math.log10(min(values) * 0.8), math.log10(max(values) * 1.2)

    def x(mbit: float) -> float:
        share = math.log(mbit / LEAST) / math.log(MOST / LEAST)
        return MARGIN + share * (WIDTH - MARGIN - 10)

    def y(ms: float) -> float:
        return (HEIGHT - 40) * (1 - (math.log10(ms) - low) / (high - low))

    parts = [_axes(x, y, low, high)]
    for number, (_, points) in reversed(list(enumerate(lines))):
        path = " ".join(f"{x(mbit):.1f},{y(ms):.1f}" for mbit, ms, _ in points)
        width = 4 if number == 0 else 1.5
        parts.append(
            f"<polyline points='{path}' fill=none stroke='{_colour(number)}' "
            f"stroke-width={width} />"
        )
        if number:
            parts += _marks(number, lines[number], x, y)
    before, free_from = None, 0.0
    for mbit, ms, here in lines[0][1]:
        if here != before:
            parts.append(f"<circle cx={x(mbit):.1f} cy={y(ms):.1f} r=5 fill='{_colour(0)}' />")
            if x(mbit) >= free_from:  # labels that would lie on each other are in the table
                parts.append(f"<text x={x(mbit) + 6:.1f} y={y(ms) - 8:.1f}>cut {here}</text>")
                free_from = x(mbit) + LABEL
        before = here
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>{''.join(parts)}</svg>"


def _marks(
    number: int, line: Line, x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """A small dot where a planner's cut changes, which says so when it is pointed at."""
    name, points = line
    changes = [p for i, p in enumerate(points) if i == 0 or p[2] != points[i - 1][2]]
    return [
        f"<circle cx={x(mbit):.1f} cy={y(ms):.1f} r=3 fill='{_colour(number)}'>"
        f"<title>{escape(name)}: cut {here} from {mbit:.3g} Mbit/s</title></circle>"
        for mbit, ms, here in changes
    ]


def _axes(x: Callable[[float], float], y: Callable[[float], float], low: float, high: float) -> str:
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        at = y(10.0**power)
        line = f"x1={MARGIN} x2={WIDTH - 10} y1={at:.1f} y2={at:.1f}"
        parts.append(f"<line {line} stroke='#8884' />")
        parts.append(f"<text x=4 y={at + 4:.1f}>{10.0**power:g} ms</text>")
    for power in range(-2, 4):
        at = x(10.0**power)
        line = f"x1={at:.1f} x2={at:.1f} y1=0 y2={HEIGHT - 40}"
        parts.append(f"<line {line} stroke='#8884' />")
        anchor = "end" if power == 3 else "middle"
        label = f"{10.0**power:g} Mbit/s"
        parts.append(f"<text x={at:.1f} y={HEIGHT - 20} text-anchor={anchor}>{label}</text>")
    return "".join(parts)


def _table(problem: Problem, graph: Graph) -> str:
    """Where the best plan changes, and what it is from there on."""
    rows, before = [], None
    for mbit, at in _sweep(problem):
        found = ALGORITHMS["auto"](at)
        if found.device != before:
            last = graph.nodes[max(found.device)].op if found.device else "nothing"
            rows.append(
                f"<tr><td class=n>{mbit:.3g}<td>{escape(ranges(sorted(found.device)) or 'none')}"
                f"<td>{escape(last)}<td class=n>{found.stages.sent_bytes:,}"
                f"<td class=n>{found.stages.latency_ms:.3f}"
            )
        before = found.device
    head = (
        "<tr><th class=n>from Mbit/s<th>nodes on the device<th>last of them"
        "<th class=n>bytes sent<th class=n>ms"
    )
    return f"<div class=scroll><table>{head}{''.join(rows)}</table></div>"
