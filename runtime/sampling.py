"""Numbers of images at places that are computed: attributes and shapes. (ONNX GridSample,
RoiAlign.)"""

from __future__ import annotations

from dataclasses import dataclass

from .attributes import Shape
from .graph import Graph, Node


@dataclass(frozen=True)
class GridSample:
    """`mode`: nearest, linear or cubic. `outside`: zeros, border or reflection.

    `places`: pixels, in the order of the image's axes; or from -1 to 1 with the last axis first,
    which are the middles of the outermost pixels (corners) or their outer sides (halves).
    """

    mode: str = "linear"
    outside: str = "zeros"
    places: str = "halves"


@dataclass(frozen=True)
class RoiAlign:
    """`size` of the answers' images; `samples` of each of their pixels along an axis, 0 for as many
    as it has pixels of x. `scale` is that from a region's numbers to pixels; `half_pixel` says that
    these are their middles. `greatest` of the samples, or their mean."""

    size: tuple[int, int] = (1, 1)
    samples: int = 0
    scale: float = 1.0
    half_pixel: bool = True
    greatest: bool = False


def grid_sample_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: x [batch, channels, ...], grid [batch, ..., axes of an image]."""
    x, grid = (graph.input(node, i).shape for i in (0, 1))
    if len(x) < 3 or len(grid) < 2 or grid[0] != x[0] or grid[-1] != len(x) - 2 or 0 in x:
        raise ValueError(f"{list(x)} by a grid {list(grid)}")
    return ((*x[:2], *grid[1:-1]),)


def roi_align_shapes(graph: Graph, node: Node) -> tuple[Shape, ...]:
    """inputs: x [batch, channels, height, width], regions [n, 4], the image of each [n]."""
    x, regions, images = (graph.input(node, i).shape for i in range(3))
    if len(x) != 4 or 0 in x or regions != (*images, 4) or len(images) != 1:
        raise ValueError(f"regions {list(regions)} of {list(x)}")
    return ((regions[0], x[1], *node.attrs.size),)
