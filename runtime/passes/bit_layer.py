"""A layer of a float model that looks binarized: what stands in its way, and it made of bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .. import bits
from ..attributes import Arithmetic, BConv2D, BDense, Conv2D, Padding
from ..graph import BINARY, Graph, Node, Tensor

Floats = NDArray[np.float32]
MAX_SUM = 1 << 24  # whole numbers up to it are exact in float32
ACTIVATIONS = {
    "none": (None, None),
    "relu": (0.0, None),
    "relu6": (0.0, 6.0),
    "relu_n1_to_1": (-1.0, 1.0),
}


def producer(graph: Graph, tensor: int | None) -> Node | None:
    position = graph.producers.get(tensor) if tensor is not None else None
    return None if position is None else graph.nodes[position]


def only_reader(graph: Graph, tensor: int) -> Node | None:
    """The one node that reads a tensor which is no output."""
    readers = graph.consumers[tensor]
    alone = len(readers) == 1 and tensor not in graph.outputs
    return graph.nodes[readers[0]] if alone else None


@dataclass(frozen=True)
class Layer:
    """A conv2d or fully_connected layer whose input is made of signs, as far as one can see."""

    graph: Graph
    node: Node
    source: Node | None  # debinarize
    pad: Node | None = None
    steps: list[Node] = field(default_factory=list)  # of batch norm, each the only reader
    sign: Node | None = None  # binarize

    @staticmethod
    def of(graph: Graph, node: Node) -> Layer | None:
        """None if neither its input nor its weights look binarized."""
        if node.op not in ("conv2d", "fully_connected") or graph.input(node).dtype != "float32":
            return None
        source, pad = producer(graph, node.inputs[0]), None
        if source is not None and source.op == "pad":
            source, pad = producer(graph, source.inputs[0]), source
        if source is None or source.op not in ("debinarize", "sign"):
            return None
        steps, sign = _chain(graph, node)
        return Layer(graph, node, source, pad, steps, sign)

    @property
    def weights(self) -> Floats:
        data = self.graph.input(self.node, 1).data
        return np.zeros(0, np.float32) if data is None else data

    @property
    def scale(self) -> Floats:
        """|w| of each filter."""
        return np.abs(self.weights.reshape(len(self.weights), -1)[:, 0])

    @property
    def products(self) -> int:
        return int(self.weights[0].size)

    @property
    def pad_value(self) -> int:
        return 0 if self.pad is None else int(self.pad.attrs.value or 0)

    @property
    def padding(self) -> Padding:
        own = getattr(self.node.attrs, "padding", Padding())
        if self.pad is None:
            return own
        before, after = self.pad.attrs.before, self.pad.attrs.after
        return Padding(before[1], after[1], before[2], after[2])

    def obstacle(self) -> str:
        """Why the layer can't be one of bits, or nothing."""
        checks: tuple[Callable[[], str], ...] = (
            self.input_obstacle,
            self.weight_obstacle,
            self.padding_obstacle,
        )
        return next((why for check in checks if (why := check())), "")

    def input_obstacle(self) -> str:
        assert self.source is not None
        if self.source.op == "sign":
            return "its input is sign(x), which is 0 at 0; take sign(sign(x) + 0.1)"
        if self.graph.output(self.source).dtype != "float32":
            return "its input is not float32"
        return ""

    def weight_obstacle(self) -> str:
        w, x = self.weights, self.graph.input(self.node)
        bias = self.graph.operand(self.node, 2)
        if not w.size or (bias is not None and bias.data is None):
            return "its weights or its bias are computed"
        depth = x.shape[-1] if w.ndim == 4 else self.products
        if w.shape[-1] != depth or x.shape[-1] != depth:
            return "its filters don't see all channels, each in its own place"
        flat = np.abs(w.reshape(len(w), -1))
        if not (flat == flat[:, :1]).all() or not flat.all():
            return "its weights are not +a and -a, with one a for each filter"
        if (np.frexp(flat[:, 0])[0] != 0.5).any():
            return "its weights are +a and -a with an a that is no power of two, so sums round"
        if self.products >= MAX_SUM:
            return "its sums are too long for float32"
        return ""

    def padding_obstacle(self) -> str:
        own = getattr(self.node.attrs, "padding", Padding())
        if self.pad is None:
            return ""
        before, after, value = self.pad.attrs.before, self.pad.attrs.after, self.pad.attrs.value
        if len(before) != 4 or before[0] or after[0] or before[3] or after[3]:
            return "it pads images or channels"
        if (value or 0) not in (1, 0, -1):
            return f"it pads with {value}, which is no sign"
        if own != Padding():
            return "it pads twice"
        return ""

    # ---- arithmetic of one filter's sums ----

    def sums(self) -> NDArray[np.int64]:
        """Every sum of signs there can be, from the least on."""
        return np.arange(-self.products, self.products + 1, 2)

    def answers(self) -> Floats:
        """[sums, filters] what the chain makes of each sum, in its own float32 arithmetic."""
        values = self.sums()[:, None].astype(np.float32) * self.scale
        bias = self.graph.operand(self.node, 2)
        if bias is not None:
            values = values + _row(bias)
        values = _clamped(values, self.node.attrs.activation)
        for step in self.steps:
            values = _stepped(self.graph, step, values)
        return values

    def thresholds(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]] | None:
        """(thresholds, filters to be negated), or None if the sign is no threshold of the sum."""
        if self.sign is None or self.sign.attrs.levels != 1:
            return None
        odd = self.products_of_pixel() % 2 and self.pad_value == 0
        if odd and self.padding != Padding():
            return None  # a border pixel then has sums between these
        found = self.answers()
        if not np.isfinite(found).all():
            return None
        below = found < self.limits()
        count = below.sum(axis=0)
        order = np.arange(len(below))[:, None]
        rising, falling = (order < count), (order >= len(below) - count)
        flipped = (below == falling).all(axis=0) & ~(below == rising).all(axis=0)
        if not (below == np.where(flipped, falling, rising)).all():
            return None
        return (self.products - count).astype(np.int32), flipped

    def limits(self) -> Floats:
        """Below them is the sign -1; without thresholds subnormal numbers have that of 0."""
        assert self.sign is not None
        given = self.graph.operand(self.sign, 1)
        if given is not None:
            return _row(given)
        tiny = np.finfo(np.float32).tiny
        return np.nextafter(-tiny, np.float32(0), dtype=np.float32).reshape(1)

    def products_of_pixel(self) -> int:
        return int(self.weights.shape[-1])

    # ---- the new nodes ----

    def converted(self) -> Graph:
        """The graph with this layer as one of bits."""
        found = self.thresholds()
        return self._with_scale() if found is None else self._with_thresholds(*found)

    def _with_thresholds(self, limits: NDArray[np.int32], flipped: NDArray[np.bool_]) -> Graph:
        assert self.sign is not None
        over = flipped.reshape(-1, *[1] * (self.weights.ndim - 1))
        weights, thresholds = bits.pack((self.weights < 0) ^ over), limits
        made = self._layer(weights, (None, None, thresholds), self.sign.outputs[0])
        return self._replaced(made, {self.node, *self.steps, self.sign}, self.sign)

    def _with_scale(self) -> Graph:
        """Sums times scale, which is exact; the bias then stays an addition."""
        weights, y = bits.pack(self.weights < 0), self.graph.output(self.node)
        offset = self.graph.operand(self.node, 2)
        plain = self.node.attrs.activation == "none"
        if plain and (offset is None or not _data(offset).any()):
            made = self._layer(weights, (self.scale, None, None), y.index)
            return self._replaced(made, {self.node}, self.node)
        index = self.graph.next_index() + 3
        made = self._layer(weights, (self.scale, None, None), index)
        nodes, tensors = made
        tensors[index] = replace(y, index=index, name=f"{y.name}/sums", data=None)
        row = np.zeros(len(self.scale), np.float32) if offset is None else _row(offset)
        tensors[index + 1] = Tensor(
            index + 1, f"{y.name}/bias", row.shape, "float32", data=np.ascontiguousarray(row)
        )
        attrs = Arithmetic(self.node.attrs.activation)
        add = Node("add", (index, index + 1), (y.index,), attrs, self.node.name, self.node.origin)
        return self._replaced(([*nodes, add], tensors), {self.node}, self.node)

    def _layer(
        self, weights: np.ndarray, operands: tuple[np.ndarray | None, ...], output: int
    ) -> tuple[list[Node], dict[int, Tensor]]:
        """The node and its constants; `operands`: multiplier, bias, thresholds."""
        assert self.source is not None
        index = self.graph.next_index()
        tensors = {index: Tensor(index, "weights", weights.shape, BINARY, data=weights)}
        inputs: list[int | None] = [self.source.inputs[0], index]
        for values in operands:
            inputs.append(None if values is None else max(tensors) + 1)
            if values is not None:
                at, kind = max(tensors) + 1, str(values.dtype)
                tensors[at] = Tensor(at, "operand", values.shape, kind, data=values)
        channels = self.products_of_pixel()
        attrs: BConv2D | BDense = BDense(channels)
        if isinstance(self.node.attrs, Conv2D):
            own = self.node.attrs
            attrs = BConv2D(
                channels, own.stride, own.dilation, self.padding, pad_value=self.pad_value
            )
        op = "bdense" if isinstance(attrs, BDense) else "bconv2d"
        node = Node(op, tuple(inputs), (output,), attrs, self.node.name, self.node.origin)
        return [node], tensors

    def _replaced(
        self, made: tuple[list[Node], dict[int, Tensor]], gone: set[Node], at: Node
    ) -> Graph:
        """The graph with `made` in the place of `at`, and without the nodes `gone`."""
        kept: list[Node] = []
        for node in self.graph.nodes:
            if node is at:
                kept += made[0]
            elif node not in gone:
                kept.append(node)
        return self.graph.with_nodes(kept, made[1])


def _chain(graph: Graph, node: Node) -> tuple[list[Node], Node | None]:
    """(the steps after a layer that work on each channel by itself, the binarize behind them)."""
    steps: list[Node] = []
    last = node
    while (reader := only_reader(graph, last.outputs[0])) is not None:
        if reader.op == "binarize":
            return steps, reader
        if reader.op not in ("mul", "add", "sub") or _operand(graph, reader, last) is None:
            return steps, None
        steps.append(reader)
        last = reader
    return steps, None


def _operand(graph: Graph, step: Node, before: Node) -> Tensor | None:
    """The constant of a step, one number or one for each channel; `before` makes its other."""
    y = graph.output(step)
    if graph.output(before).shape != y.shape:
        return None
    for own, other in ((0, 1), (1, 0)):
        constant = graph.input(step, other)
        if step.inputs[own] == before.outputs[0] and constant.data is not None:
            by_channel = constant.elements in (1, y.shape[-1]) and (
                constant.elements == 1 or constant.shape[-1] == y.shape[-1]
            )
            return constant if by_channel else None
    return None


def _stepped(graph: Graph, step: Node, values: Floats) -> Floats:
    """One step of batch norm on [sums, filters]."""
    first = graph.input(step, 0).data is None
    number = _row(graph.input(step, 1 if first else 0))
    with np.errstate(over="ignore", invalid="ignore"):
        if step.op == "mul":
            values = values * number
        elif step.op == "add":
            values = values + number
        else:
            values = values - number if first else number - values
    return _clamped(values, step.attrs.activation)


def _clamped(values: Floats, activation: str) -> Floats:
    low, high = ACTIVATIONS[activation]
    values = values if low is None else np.maximum(values, np.float32(low))
    return values if high is None else np.minimum(values, np.float32(high))


def _data(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    return tensor.data


def _row(tensor: Tensor) -> Floats:
    """A constant of one number, or of one for each channel."""
    return _data(tensor).reshape(-1)
