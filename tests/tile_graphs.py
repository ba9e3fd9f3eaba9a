"""Graphs for tile planners, made without a model file: chains, and chains with residuals."""

from __future__ import annotations

import random

import numpy as np

from midge.runtime.attributes import Arithmetic, Conv2D, Padding, Pool2D
from midge.runtime.graph import Graph, Node, Quantization, Tensor
from midge.targets.split.planners.problem import Link
from midge.targets.split.tiles.plan import Device, TileProblem

UNIT = Quantization(np.ones(1), np.zeros(1, np.int64))


class Chain:
    """Adds one layer after the other; weights are zeros, since nobody runs them."""

    def __init__(self, draw: random.Random, height: int, width: int, depth: int) -> None:
        self.draw, self.nodes = draw, []
        self.tensors: dict[int, Tensor] = {}
        self.last = self.add((1, height, width, depth))

    def add(self, shape: tuple[int, ...], data: np.ndarray | None = None) -> int:
        index = len(self.tensors)
        self.tensors[index] = Tensor(index, f"t{index}", shape, "int8", UNIT, data)
        return index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[self.last].shape

    def conv(self, kernel: int, stride: int, same: bool, depth: int, pool: bool = False) -> bool:
        """False if the window doesn't fit."""
        _, height, width, channels = self.shape
        total = kernel - 1 if same else 0
        top = total // 2
        sizes = tuple((n + total - kernel) // stride + 1 for n in (height, width))
        if min(height, width) + total < kernel or min(sizes) < 1:
            return False
        padding = Padding(top, total - top, top, total - top)
        if pool:
            made = self.add((1, *sizes, channels))
            attrs = Pool2D((kernel, kernel), (stride, stride), padding)
            self.nodes.append(Node("max_pool2d", (self.last,), (made,), attrs))
        else:
            shape = depth, kernel, kernel, channels
            weights = self.add(shape, np.zeros(shape, np.int8))
            made = self.add((1, *sizes, depth))
            attrs = Conv2D((stride, stride), (1, 1), padding)
            self.nodes.append(Node("conv2d", (self.last, weights, None), (made,), attrs))
        self.last = made
        return True

    def residual(self) -> None:
        """Two convolutions of the same size, and the way round them."""
        start, depth = self.last, self.shape[3]
        self.conv(3, 1, True, depth)
        self.conv(self.draw.choice([1, 3]), 1, True, depth)
        made = self.add(self.shape)
        self.nodes.append(Node("add", (self.last, start), (made,), Arithmetic()))
        self.last = made

    def graph(self) -> Graph:
        return Graph(tuple(self.nodes), self.tensors, (0,), (self.last,), "0" * 64)


def random_graph(draw: random.Random, most: int = 5, residuals: bool = True) -> Graph:
    chain = Chain(draw, draw.randint(4, 14), draw.randint(4, 14), draw.choice([1, 3, 8]))
    for _ in range(draw.randint(1, most)):
        if residuals and draw.random() < 0.25:
            chain.residual()
        else:
            kernel, stride = draw.choice([1, 2, 3, 3, 5]), draw.choice([1, 1, 2])
            pool = draw.random() < 0.2
            chain.conv(kernel, stride, draw.random() < 0.7, draw.choice([2, 4, 8]), pool)
    if not chain.nodes:
        chain.conv(1, 1, True, 2)
    return chain.graph()


def random_tiles(
    draw: random.Random, most: int = 5, devices: int = 4, residuals: bool = True, **extras: object
) -> TileProblem:
    graph = random_graph(draw, most, residuals)
    there = tuple(
        Device(draw.choice([0.5, 1.0, 1.0, 2.0]), random_link(draw))
        for _ in range(draw.randint(1, devices))
    )
    times = tuple(draw.uniform(0.5, 20.0) for _ in graph.nodes)
    return TileProblem(graph, times, there, extras)


def random_link(draw: random.Random) -> Link:
    rate = draw.choice([20.0, 200.0, 5000.0])
    return Link(rate, rate, draw.choice([0.0, 0.3]))
