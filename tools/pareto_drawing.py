"""Bytes of arena against extra arithmetic, drawn as steps: what a plan would need for more work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ..runtime.strips import Point

WIDTH, HEIGHT = 960, 320  # of the drawing, in its own units
LEFT, TOP, BOTTOM = 72, 16, 40  # margins
COLOURS = ("#4e79a7", "#e15759", "#59a14f")
QUARTERS = 4
Curve = Sequence[Point]


def pareto_section(curves: Mapping[str, Curve], macs: int, most_extra: float) -> str:
    """Heading, drawing and table of some curves of a model of `macs` multiplications.

    Each curve begins without extra arithmetic and ends at `most_extra` of the model's.
    """
    drawn = {name: curve for name, curve in curves.items() if curve}
    if not drawn or not macs:
        return ""
    key = "".join(
        f"<span><i style='background:{colour}'></i>{escape(name)}</span>"
        for name, colour in zip(drawn, COLOURS, strict=False)
    )
    return (
        "<h2>Bytes against arithmetic</h2><p>Bytes of arena, before packing and without scratch "
        "that would cost bytes, against multiplications done twice, with the input in the arena or "
        "handed over by row. Every other way to cut the model into segments, strips and patches, "
        "or to make excited tensors in two passes, needs more of one of them. Patches alone, all "
        "else layer by layer, as MCUNetV2 has them, are drawn for comparison.</p>"
        f"<p class=key>{key}</p><div class=scroll>{_drawing(drawn, macs, most_extra)}</div>"
        f"{_table(drawn, macs)}"
    )


def _drawing(curves: Mapping[str, Curve], macs: int, most_extra: float) -> str:
    highest = max(point.bytes for curve in curves.values() for point in curve)
    across, down = (WIDTH - LEFT - 8) / most_extra, (HEIGHT - TOP - BOTTOM) / highest
    ground = HEIGHT - BOTTOM

    def x(extra: float) -> float:
        return LEFT + max(extra, 0) / macs * across

    parts = [_scales(highest, most_extra, across, down)]
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        path, dots, y = "", "", 0.0
        for point in curve:
            at, y = x(point.extra_macs), ground - point.bytes * down
            path += f"H{at:.1f}V{y:.1f}" if path else f"M{at:.1f} {y:.1f}"
            title = f"{name}: {point.bytes:,} bytes, {100 * point.extra_macs / macs:.2f} % more"
            dots += (
                f"<circle cx={at:.1f} cy={y:.1f} r=4 fill='{colour}'>"
                f"<title>{escape(title)}</title></circle>"
            )
        path += f"H{x(most_extra * macs):.1f}"
        parts.append(f"<path d='{path}' fill=none stroke='{colour}' stroke-width=2 />{dots}")
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>{''.join(parts)}</svg>"


def _scales(highest: int, most_extra: float, across: float, down: float) -> str:
    lines, ground = [], HEIGHT - BOTTOM
    for quarter in range(QUARTERS + 1):
        value, extra = highest * quarter // QUARTERS, most_extra * quarter / QUARTERS
        y, x = ground - value * down, LEFT + extra * across
        lines.append(
            f"<line x1={LEFT} x2={WIDTH} y1={y:.1f} y2={y:.1f} stroke='#8885'/>"
            f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{value:,}</text>"
            f"<text x={x:.1f} y={ground + 18} text-anchor=middle>{100 * extra:.1f} %</text>"
        )
    return "".join(lines)


def _table(curves: Mapping[str, Curve], macs: int) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td class=n>{point.bytes:,}"
        f"<td class=n>{100 * point.extra_macs / macs:.2f} %<td>{escape(_parts(point))}"
        for name, curve in curves.items()
        for point in curve
    )
    head = "<tr><th>input<th class=n>bytes<th class=n>extra<th>in parts (operations)"
    return f"<div class=scroll><table>{head}{rows}</table></div>"


def _parts(point: Point) -> str:
    """What is cut, in words."""
    found = [
        f"{s.patch_rows}x{s.strips} patches ({s.end - s.begin})"
        if s.patch_rows
        else f"{s.strips} strips ({s.end - s.begin})"
        for s in point.segments
        if s.strips > 1 or s.patch_rows
    ]
    found += [f"{point.twice} in two passes"] if point.twice else []
    return ", ".join(found) or "nothing"
