"""A memory plan as one self-contained HTML page: the arena over time, buffers as boxes."""

from __future__ import annotations

from html import escape

from ..runtime.program import Buffer, Program
from .plan_advice import kind_of, peak_of

WIDTH, HEIGHT = 960, 520  # of the drawing, in its own units
MARGIN = 64  # left of the drawing, for the byte scale
COLOURS = {
    "input": "#4e79a7",
    "output": "#59a14f",
    "activation": "#f28e2b",
    "ring": "#76b7b2",
    "state": "#b07aa1",
    "scratch": "#9c9c9c",
}

STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}
h1{font-size:1.3rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.2rem 0 .2rem}
.figures{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;margin:.6rem 0 1rem;padding:0}
.figures li{list-style:none}.figures b{display:block;font-size:1.25rem}
.scroll{overflow-x:auto}svg{width:100%;min-width:30rem;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:currentColor}
svg .on{fill:#fff}svg rect.box{stroke:#fff;stroke-width:1}
table{border-collapse:collapse;width:100%;font-size:.9rem}
code{font-size:.85em;white-space:nowrap}
td,th{padding:.25rem .5rem;text-align:left;border-bottom:1px solid #8884}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.key span{display:inline-block;margin-right:1rem}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
"""


def plan_page(program: Program, name: str, more: str = "") -> str:
    """The page, as HTML text that needs no other file; `more` stands under the drawing."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: arena</title><style>{STYLE}</style>"
        f"<h1>{escape(name)} on {escape(program.target)}</h1>"
        f"{_figures(program)}<p class=key>{_key(program)}</p>"
        f"<div class=scroll>{_drawing(program)}</div>{more}{_table(program)}</html>\n"
    )


def _figures(program: Program) -> str:
    peak = peak_of(program)
    figures = (
        (f"{program.arena_bytes:,}", "bytes of arena"),
        (f"{program.lower_bound:,}", "no packing is smaller"),
        (f"{program.live_set_bytes:,}", "live at once without overlap"),
        (escape(peak.operators), f"sets the peak (step {peak.item})"),
    )
    return "<ul class=figures>" + "".join(f"<li><b>{n}</b>{t}" for n, t in figures) + "</ul>"


def _key(program: Program) -> str:
    kinds = [kind for kind in COLOURS if any(kind_of(program, b) == kind for b in program.buffers)]
    return "".join(f"<span><i style='background:{COLOURS[k]}'></i>{k}</span>" for k in kinds)


def _drawing(program: Program) -> str:
    steps = len(program.items) + 2  # inputs stand before item 0, outputs after the last
    across = (WIDTH - MARGIN) / steps
    down = (HEIGHT - 40) / max(program.arena_bytes, 1)
    parts = [_scale(program, down), _memories(program, down), _peak(program, across)]
    parts += [_box(program, buffer, across, down) for buffer in program.buffers]
    parts.append(f"<text x={MARGIN} y={HEIGHT - 4}>time: one step an item of the program →</text>")
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>{''.join(parts)}</svg>"


def _scale(program: Program, down: float) -> str:
    lines = []
    for quarter in range(5):
        value = program.arena_bytes * quarter // 4
        y = 10 + value * down
        lines.append(
            f"<line x1={MARGIN} x2={WIDTH} y1={y:.1f} y2={y:.1f} stroke='#8885'/>"
            f"<text x={MARGIN - 6} y={y + 4:.1f} text-anchor=end>{value:,}</text>"
        )
    return "".join(lines)


def _memories(program: Program, down: float) -> str:
    """Where each of several memories begins, and how much of it is used."""
    return "".join(
        f"<line x1={MARGIN} x2={WIDTH} y1={10 + r.offset * down:.1f} y2={10 + r.offset * down:.1f} "
        f"stroke='#e15759' stroke-dasharray=4 /><text x={WIDTH - 6} "
        f"y={22 + r.offset * down:.1f} text-anchor=end>{escape(r.name)}: {r.bytes:,} of "
        f"{r.granted:,} bytes</text>"
        for r in program.regions
    )


def _peak(program: Program, across: float) -> str:
    x = MARGIN + (peak_of(program).item + 1) * across
    return (
        f"<rect x={x:.1f} y=4 width={across:.1f} height={HEIGHT - 28} fill='#e1575933'>"
        "<title>peak</title></rect>"
        f"<text x={x + across / 2:.1f} y={HEIGHT - 18} text-anchor=middle>peak</text>"
    )


def _box(program: Program, buffer: Buffer, across: float, down: float) -> str:
    x = MARGIN + (buffer.first + 1) * across
    width = (buffer.last - buffer.first + 1) * across
    y, height = 10 + buffer.offset * down, max(buffer.size * down, 1.5)
    title = (
        f"{buffer.name}: {buffer.size:,} bytes at {buffer.offset:,}, "
        f"steps {buffer.first} to {buffer.last}"
    )
    label = ""
    if height > 15 and width > 46:
        label = f"<text class=on x={x + 4:.1f} y={y + 13:.1f}>{buffer.size:,}</text>"
    return (
        f"<g><title>{escape(title)}</title><rect class=box x={x:.1f} y={y:.1f} "
        f"width={width:.1f} height={height:.1f} fill='{COLOURS[kind_of(program, buffer)]}' "
        f"fill-opacity=.85 />{label}</g>"
    )


def _table(program: Program) -> str:
    rows = "".join(
        f"<tr>{_memory_cell(program, b)}<td class=n>{b.offset:,}<td class=n>{b.size:,}"
        f"<td class=n>{b.first}–{b.last}"
        f"<td>{kind_of(program, b)}<td title='{escape(b.name)}'>{escape(short_name(b.name))}"
        for b in sorted(program.buffers, key=lambda b: (b.first, b.offset))
    )
    head = "<tr><th>memory" if program.regions else "<tr>"
    head += "<th class=n>offset<th class=n>bytes<th class=n>steps<th>kind<th>buffer"
    return f"<h2>Buffers</h2><div class=scroll><table>{head}{rows}</table></div>"


def _memory_cell(program: Program, buffer: Buffer) -> str:
    spread = program.spread
    return f"<td>{escape(spread.region(buffer.offset).name)}" if spread is not None else ""


def short_name(name: str) -> str:
    """Converters join the names of all that they fused with semicolons; the first will do."""
    return name.partition(";")[0]
