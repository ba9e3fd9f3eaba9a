"""The words by which a vector kernel copies the windows of some output pixels.

A kernel of sliding windows first copies the input that a run of output pixels needs, padding
included, into a buffer in the arena, in the form that the instruction set takes. The taps of an
output pixel are then at fixed distances, and pixels are written only when all that they need is in
the buffer: what `PIXEL` granularity allows is kept whatever the order within a run.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.attributes import Pair
from ...runtime.graph import Graph, Node
from ...runtime.lowering import Cursor, Field, Rows, Scratch
from ...runtime.shapes import image_size
from ..conv2d import window_cursor
from .packing import SLACK

# A run is `columns` pixels of a row, or less at its end. Bytes: `before` of padding left of a row
# of `in_row`; `extent` of one window along a row, `pixel` to the next one; `pitch` from row to row
# in the buffer.
WINDOW = (
    "rows width columns kernel_height stride_height dilation_height before in_row extent pixel "
    "pitch fill buffer y x"
)


@dataclass(frozen=True)
class Room:
    """How much a buffer may hold."""

    bytes: int  # a longer row is taken in several runs
    pixels: int  # in a run at least, whatever they take; longer ones are multiples of it
    rows: int  # in a band at least, if it may have several


AMPLE = Room(1920, 12, 4)  # tiles of 2, 4 and 6 pixels fill such runs
TIGHT = Room(0, 2, 1)  # where a plan has no room for the other


@dataclass(frozen=True)
class Run:
    """How the windows of a run of pixels lie in the buffer."""

    columns: int
    pitch: int
    extent: int


def run_of(graph: Graph, node: Node, kernel: Pair, room: Room) -> Run:
    """Runs of a row of even length, so that the buffer stays small."""
    x, attrs = graph.input(node), node.attrs
    size, width = x.shape[3] * x.itemsize, image_size(graph.output(node).shape)[1]
    extent = ((kernel[1] - 1) * attrs.dilation[1] + 1) * size
    pixel = attrs.stride[1] * size
    longest = max((room.bytes // kernel[0] - extent) // pixel + 1, room.pixels)
    runs = -(-width // longest)
    columns = width if runs == 1 else -(-width // (runs * room.pixels)) * room.pixels
    return Run(columns, (columns - 1) * pixel + extent, extent)


def window_fields(
    graph: Graph, node: Node, kernel: Pair, room: Room, band: int = 1
) -> dict[str, Field]:
    """The fields of `WINDOW`; the buffer holds `band` times the rows of one window."""
    x, attrs, run = graph.input(node), node.attrs, run_of(graph, node, kernel, room)
    size = x.shape[3] * x.itemsize
    return {
        "rows": Rows(),
        "width": image_size(graph.output(node).shape)[1],
        "columns": run.columns,
        "kernel_height": kernel[0],
        "stride_height": attrs.stride[0],
        "dilation_height": attrs.dilation[0],
        "before": attrs.padding.left * size,
        "in_row": x.shape[2] * size,
        "extent": run.extent,
        "pixel": attrs.stride[1] * size,
        "pitch": run.pitch,
        "fill": x.zero_point if x.dtype == "int8" else 0,
        "buffer": Scratch(band * kernel[0] * run.pitch + SLACK),
        "y": Cursor(node.outputs[0]),
        "x": window_cursor(graph, node, kernel),
    }
