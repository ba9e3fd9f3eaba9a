"""One inference on the accelerator as one self-contained HTML page: roofline, use, stalls."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ..hw.machine import TAPS
from .plan_page import STYLE

WIDTH, HEIGHT = 960, 420  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44  # margins
LABEL_WIDTH = 20
COLOURS = {"array": "#4e79a7", "vector": "#f28e2b", "host": "#9c9c9c"}
STALLS = {"jobs ran": "#59a14f", "waited for memory": "#e15759", "waited for the engine": "#76b7b2"}
MORE_STYLE = """
.bar{display:inline-block;height:.8em;border-radius:2px;vertical-align:middle}
td.wide{width:30%}
"""
Layer = Mapping[str, Any]


def roofline_page(result: Mapping[str, Any], name: str) -> str:
    """The page of what `accelerator_sim.describe` found, as HTML that needs no other file."""
    size = f"{result['rows']}x{result['columns']}"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: roofline</title><style>{STYLE}{MORE_STYLE}</style>"
        f"<h1>{escape(name)} on the {size} accelerator</h1>"
        f"{_figures(result)}{_roofline(result)}{_stalls(result)}{_table(result['layers'])}</html>\n"
    )


def _figures(result: Mapping[str, Any]) -> str:
    figures = (
        (f"{result['cycles']:,}", "cycles, counted"),
        (f"{result['macs_per_cycle'] or 0:.1f}", "multiplications a cycle"),
        (f"{result['utilisation'] or 0:.1%}", "of the array's"),
        (f"{result['macs']:,}", "multiplications on the chip"),
    )
    return "<ul class=figures>" + "".join(f"<li><b>{n}</b>{t}" for n, t in figures) + "</ul>"


class _Plane:
    """Logarithmic axes: multiplications a byte across, multiplications a cycle up."""

    def __init__(self, layers: Sequence[Layer], roofs: Sequence[float]) -> None:
        across = [layer["macs"] / layer["bytes"] for layer in layers]
        up = [*roofs, *(layer["macs_per_cycle"] for layer in layers)]
        self.x_range = _decades(across)
        self.y_range = _decades(up)

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Exponents of the powers of ten round some numbers."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _roofline(result: Mapping[str, Any]) -> str:
    layers = [layer for layer in result["layers"] if layer["macs_per_cycle"]]
    if not layers:
        return "<p>Nothing that ran on the accelerator multiplies: there is no roofline.</p>"
    roofs = {
        "array": result["rows"] * result["columns"],
        "vector": TAPS * result["columns"],
    }
    plane = _Plane(layers, list(roofs.values()))
    parts = [*_grid(plane), *_roofs(plane, roofs), _slope(plane, max(roofs.values()), result)]
    parts += [_point(plane, layer) for layer in layers]
    parts += _labels(plane, layers)
    key = "".join(
        f"<span><i style='background:{COLOURS[engine]}'></i>{engine}</span>" for engine in roofs
    )
    per_cycle = result["memory_bytes_per_cycle"]
    return (
        f"<h2>Roofline</h2><p>A point is a layer, by its number: multiplications a cycle, "
        "against those for each byte of its input, output and weights. The flat lines "
        "are all multipliers of an engine. The slope is what memory would allow if each layer moved"
        f" all of that over the bus, {per_cycle} bytes a cycle: layers above it are those that "
        f"staying on the chip makes possible.</p><p class=key>{key}</p><div class=scroll>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>{''.join(parts)}</svg></div>"
    )


def _grid(plane: _Plane) -> Iterator[str]:
    for exponent in range(plane.x_range[0], plane.x_range[1] + 1):
        x = plane.x(10.0**exponent)
        yield (
            f"<line x1={x:.1f} x2={x:.1f} y1={TOP} y2={HEIGHT - BOTTOM} stroke='#8885'/>"
            f"<text x={x:.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>{10.0**exponent:g}</text>"
        )
    for exponent in range(plane.y_range[0], plane.y_range[1] + 1):
        y = plane.y(10.0**exponent)
        yield (
            f"<line x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} stroke='#8885'/>"
            f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{10.0**exponent:g}</text>"
        )
    yield f"<text x={LEFT} y={HEIGHT - 6}>multiplications a byte →</text>"
    yield f"<text x={LEFT + 6} y={TOP + 10}>↑ multiplications a cycle</text>"


def _roofs(plane: _Plane, roofs: Mapping[str, float]) -> Iterator[str]:
    for number, (engine, most) in enumerate(sorted(roofs.items(), key=lambda roof: roof[1])):
        y = plane.y(most)
        label = y + 16 if number == 0 else y - 6  # apart, for the roofs are near one another
        x = LEFT + (WIDTH - LEFT - RIGHT) / 3  # few layers reach a roof with so few products a byte
        yield (
            f"<line x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} stroke='{COLOURS[engine]}' "
            f"stroke-width=2 /><text x={x:.1f} y={label:.1f} text-anchor=end>{engine}: {most}"
            "</text>"
        )


def _slope(plane: _Plane, most: float, result: Mapping[str, Any]) -> str:
    """From the left or the bottom up to the greatest roof or the right."""
    per_cycle = result["memory_bytes_per_cycle"]
    left = max(10.0 ** plane.x_range[0], 10.0 ** plane.y_range[0] / per_cycle)
    right = min(10.0 ** plane.x_range[1], most / per_cycle)
    if left >= right:
        return ""
    return (
        f"<line x1={plane.x(left):.1f} y1={plane.y(left * per_cycle):.1f} "
        f"x2={plane.x(right):.1f} y2={plane.y(right * per_cycle):.1f} stroke='#e15759' "
        "stroke-width=2 stroke-dasharray=6 />"
    )


def _place(plane: _Plane, layer: Layer) -> tuple[float, float]:
    return plane.x(layer["macs"] / layer["bytes"]), plane.y(layer["macs_per_cycle"])


def _point(plane: _Plane, layer: Layer) -> str:
    x, y = _place(plane, layer)
    title = (
        f"{layer['node']} {layer['operator']} {layer['name']}: {layer['macs']:,} multiplications, "
        f"{layer['bytes']:,} bytes, {layer['counted_cycles']:,} cycles, "
        f"{layer['utilisation']:.0%} of the {layer['engine']}"
    )
    return (
        f"<g><title>{escape(title)}</title><circle cx={x:.1f} cy={y:.1f} r=5 "
        f"fill='{COLOURS[layer['engine']]}' fill-opacity=.85 /></g>"
    )


def _labels(plane: _Plane, layers: Sequence[Layer]) -> Iterator[str]:
    """The points' numbers, of neighbours one above the other."""
    columns: list[tuple[float, float, list[int]]] = []
    for layer in sorted(layers, key=lambda layer: _place(plane, layer)):
        x, y = _place(plane, layer)
        if columns and x - columns[-1][0] < LABEL_WIDTH and abs(y - columns[-1][1]) < LABEL_WIDTH:
            columns[-1][2].append(layer["node"])
        else:
            columns.append((x, y, [layer["node"]]))
    for x, y, nodes in columns:
        for line, node in enumerate(nodes):
            yield f"<text x={x - 3:.1f} y={y + 18 + 13 * line:.1f}>{node}</text>"


def _stalls(result: Mapping[str, Any]) -> str:
    """What was counted in stretches; the queue may wait for the engine while jobs run."""
    if not (total := result["stretch_cycles"]):
        return ""
    stalls = result["stalls"]
    counted = (result["busy_cycles"], stalls["memory"], stalls["engine"])
    rows = "".join(
        f"<tr><td>{name}<td class=n>{cycles:,}<td class=n>{cycles / total:.1%}"
        f"<td class=wide>{_bar(cycles / total, colour)}"
        for (name, colour), cycles in zip(STALLS.items(), counted, strict=True)
    )
    return (
        f"<h2>Stalls</h2><p>Of the {total:,} cycles that stretches took from start to interrupt. "
        "The command queue waits for memory with transfers and commands, and for the engine with "
        "jobs to take or to end, mostly while one runs; the causes overlap the work.</p>"
        f"<div class=scroll><table><tr><th>cause<th class=n>cycles<th class=n>part<th>{rows}"
        "</table></div>"
    )


def _table(layers: Sequence[Layer]) -> str:
    most = max((layer["counted_cycles"] or 0 for layer in layers), default=0)
    rows = "".join(
        f"<tr><td class=n>{layer['node']}<td title='{escape(layer['name'])}'>{layer['operator']}"
        f"<td>{layer['engine']}<td class=n>{layer['macs']:,}<td class=n>{layer['bytes']:,}"
        f"<td class=n>{_number(layer['counted_cycles'], ',')}"
        f"<td class=wide>{_bar((layer['counted_cycles'] or 0) / max(most, 1), '#9c9c9c')}"
        f"<td class=n>{_number(layer['utilisation'], '.0%')}"
        f"<td class=wide>{_bar(layer['utilisation'] or 0, COLOURS[layer['engine']])}"
        for layer in layers
    )
    return (
        "<h2>Layers</h2><div class=scroll><table><tr><th class=n>node<th>operator<th>engine"
        "<th class=n>multiplications<th class=n>bytes<th class=n>cycles<th>"
        f"<th class=n>use<th>{rows}</table></div>"
    )


def _bar(part: float, colour: str) -> str:
    return f"<span class=bar style='width:{100 * min(part, 1):.1f}%;background:{colour}'></span>"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
