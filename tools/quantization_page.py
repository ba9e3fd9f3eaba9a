"""What quantization costs each layer, as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .plan_page import STYLE
from .quantization_error import EXACT_DB, LayerError, by_what_they_add

WIDTH, BAR, MARGIN = 960, 18, 300  # of the drawing, in its own units
MOST_DB = 60.0  # the scale's end
WHOLE, ALONE = "#4e79a7", "#f28e2b"


def quantization_page(layers: Sequence[LayerError], name: str, floating: str) -> str:
    """The page, as HTML text that needs no other file."""
    known = [layer for layer in layers if layer.sqnr_db is not None]
    last = f"{known[-1].sqnr_db:.1f} dB at the end" if known else "no layer has a twin"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: quantization</title><style>{STYLE}</style>"
        f"<h1>{escape(name)} beside {escape(floating)}</h1>"
        f"<p>{len(known)} of {len(layers)} layers have a twin in the float model; {last}. A longer "
        "bar is a smaller error.</p>"
        f"<p class=key><span><i style='background:{WHOLE}'></i>signal to quantization noise so far"
        f"</span><span><i style='background:{ALONE}'></i>of the layer alone</span></p>"
        f"<div class=scroll>{_drawing(layers)}</div>"
        f"<h2>Layers, those that add most first</h2>{_table(layers)}</html>\n"
    )


def _drawing(layers: Sequence[LayerError]) -> str:
    height = BAR * len(layers) + 30
    parts = []
    for step in range(0, int(MOST_DB) + 1, 10):
        at = _across(step)
        parts.append(f"<line x1={at:.1f} x2={at:.1f} y1=0 y2={height - 24} stroke='#8884' />")
        anchor = "end" if step == MOST_DB else "middle"
        parts.append(f"<text x={at:.1f} y={height - 8} text-anchor={anchor}>{step} dB</text>")
    for number, layer in enumerate(layers):
        top = number * BAR
        label = f"{layer.node} {layer.operator} {layer.tensor}"
        shown = label if len(label) <= 44 else label[:43] + "…"
        parts.append(f"<text x=4 y={top + 13}><title>{escape(label)}</title>{escape(shown)}</text>")
        parts += [
            f"<rect x={MARGIN} y={top + shift} height=6 "
            f"width={_across(min(value, MOST_DB)) - MARGIN:.1f} fill='{colour}' />"
            for value, shift, colour in (
                (layer.sqnr_db, 2, WHOLE),
                (layer.own_sqnr_db, 9, ALONE),
            )
            if value is not None and value > 0
        ]
    return f"<svg viewBox='0 0 {WIDTH} {height}' role=img>{''.join(parts)}</svg>"


def _across(decibels: float) -> float:
    return MARGIN + decibels / MOST_DB * (WIDTH - MARGIN - 10)


def _table(layers: Sequence[LayerError]) -> str:
    rows = "".join(
        f"<tr><td class=n>{layer.node}<td>{escape(layer.operator)}"
        f"<td><code>{escape(layer.tensor)}</code><td class=n>{decibels(layer.own_sqnr_db)}"
        f"<td class=n>{decibels(layer.sqnr_db)}<td class=n>{_number(layer.cosine)}"
        f"<td class=n>{_number(layer.max_error)}"
        for layer in by_what_they_add(layers)
    )
    return (
        "<table><tr><th class=n>node<th>operator<th>output<th class=n>alone, dB<th class=n>so far, "
        f"dB<th class=n>cosine<th class=n>greatest error{rows}</table>"
    )


def decibels(value: float | None) -> str:
    if value is None:
        return "no twin"
    return "exact" if value >= EXACT_DB else f"{value:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
