"""What quantization costs each layer: a quantized model beside the float model that it came from.

Layers are paired by their outputs' names, as converters and quantizers keep them, else by operator
and shape in the order of both graphs. Two errors are measured over the samples: of a layer's output
as it is (`sqnr_db`), and of the layer alone, given the float model's own numbers (`own_sqnr_db`):
what it adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from ..kernels.reference import ReferenceBackend
from ..runtime.backend import find_backend
from ..runtime.errors import InputError
from ..runtime.graph import DTYPES, Graph, Node, Tensor
from ..runtime.program import Program

ENDINGS = ("_QuantizeLinear_Output", "_DequantizeLinear_Output", "_quantized", "_dequantized")
BORDER = ("quantize", "dequantize")
EXACT_DB = 200.0  # stands for no error at all


@dataclass(frozen=True)
class LayerError:
    """One node of the quantized graph; the figures are None where the float model has no twin."""

    node: int
    operator: str
    tensor: str
    float_tensor: str | None
    sqnr_db: float | None = None
    cosine: float | None = None
    max_error: float | None = None
    own_sqnr_db: float | None = None


class _Sums:
    """Running sums of a signal and of what differs from it."""

    def __init__(self) -> None:
        self.signal = self.noise = self.other = self.product = self.most = 0.0

    def add(self, true: np.ndarray, found: np.ndarray) -> None:
        a, b = true.astype(np.float64).reshape(-1), found.astype(np.float64).reshape(-1)
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.product += float(a @ b)
        self.noise += float((a - b) @ (a - b))
        self.most = max(self.most, float(np.abs(a - b).max(initial=0.0)))

    @property
    def decibels(self) -> float:
        if self.noise == 0:
            return EXACT_DB
        return min(10 * math.log10(max(self.signal, 1e-300) / self.noise), EXACT_DB)

    @property
    def cosine(self) -> float:
        length = math.sqrt(self.signal * self.other)
        return self.product / length if length else float(self.signal == self.other)


def layer_errors(
    quantized: Program, floating: Program, samples: Iterable[Sequence[np.ndarray]]
) -> list[LayerError]:
    """The error of every node of the quantized program, in its order.

    `samples` are inputs of the float model; both programs are for the target `reference`.
    """
    graph, truth = quantized.graph, floating.graph
    twins = pairs(graph, truth)
    whole = [_Sums() for _ in graph.nodes]
    alone = [_Sums() for _ in graph.nodes]
    measured = [False] * len(graph.nodes)
    backend = find_backend("reference")
    assert isinstance(backend, ReferenceBackend)
    for sample in samples:
        true = _values(floating, sample)
        found = _values(quantized, _as_inputs(graph, truth, sample))
        for number, node in enumerate(graph.nodes):
            twin = twins.get(node.outputs[0])
            if twin is None:
                continue
            tensor = graph.output(node)
            whole[number].add(true[twin], real(found[tensor.index], tensor))
            given = _given(graph, node, twins, true)
            if given is not None:
                answer = backend.evaluate(graph, node, given)[0]
                alone[number].add(true[twin], real(answer, tensor))
                measured[number] = True
    return [
        _layer(graph, truth, number, twins, whole[number], alone[number], measured[number])
        for number in range(len(graph.nodes))
    ]


def _layer(
    graph: Graph,
    truth: Graph,
    number: int,
    twins: Mapping[int, int],
    whole: _Sums,
    alone: _Sums,
    measured: bool,
) -> LayerError:
    node = graph.nodes[number]
    name, twin = graph.output(node).name, twins.get(node.outputs[0])
    if twin is None:
        return LayerError(number, node.op, name, None)
    return LayerError(
        number, node.op, name, truth.tensors[twin].name, whole.decibels, whole.cosine, whole.most,
        alone.decibels if measured else None,
    )  # fmt: skip


def pairs(graph: Graph, truth: Graph) -> dict[int, int]:
    """Tensor of the quantized graph -> the float tensor that it stands for."""
    shapes = {index: tensor.shape for index, tensor in truth.tensors.items()}
    names = {truth.output(node).name: truth.output(node).index for node in truth.nodes}
    twins = dict(zip(graph.inputs, truth.inputs, strict=False))
    for node in graph.nodes:
        tensor = graph.output(node)
        twin = names.get(_stem(tensor.name), names.get(tensor.name))
        if twin is not None and shapes[twin] == tensor.shape:
            twins[tensor.index] = twin
    own = [node for node in graph.nodes if node.op not in BORDER]
    theirs = [node for node in truth.nodes if node.op not in BORDER]
    ours_by, theirs_by = ([(n.op, g.output(n).shape) for n in nodes]
                          for g, nodes in ((graph, own), (truth, theirs)))  # fmt: skip
    matcher = SequenceMatcher(None, ours_by, theirs_by, autojunk=False)
    for block in matcher.get_matching_blocks():
        for i in range(block.size):
            index = own[block.a + i].outputs[0]
            twins.setdefault(index, theirs[block.b + i].outputs[0])
    for node in graph.nodes:  # the border converts what it is given
        if node.op in BORDER and node.operands[0] in twins:
            twins.setdefault(node.outputs[0], twins[node.operands[0]])
    return twins


def _stem(name: str) -> str:
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The numbers that a tensor's values stand for."""
    if tensor.quantization is None:
        return values
    return (values.astype(np.float64) - tensor.zero_point) * tensor.scale


def whole(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Real numbers as a tensor holds them, rounded to the nearest."""
    kind = DTYPES[tensor.dtype]
    if tensor.quantization is None:
        return values.astype(kind)
    limits = np.iinfo(kind)
    numbers = np.rint(values.astype(np.float64) / tensor.scale) + tensor.zero_point
    return np.clip(numbers, limits.min, limits.max).astype(kind)


def _as_inputs(graph: Graph, truth: Graph, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The float model's inputs in the types of the quantized one."""
    for index, other, value in zip(graph.inputs, truth.inputs, sample, strict=True):
        tensor = graph.tensors[index]
        if tensor.shape != value.shape:
            raise InputError(
                f"input {tensor.name!r} of the quantized model has the shape {list(tensor.shape)}, "
                f"that of the float model {list(truth.tensors[other].shape)}; compare models of "
                "one network"
            )
    return [
        whole(value, graph.tensors[index])
        for index, value in zip(graph.inputs, sample, strict=True)
    ]


def _values(program: Program, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    executor = find_backend("reference").build(program)
    values = dict(zip(program.graph.inputs, inputs, strict=True))
    values |= {tensor: value for _, tensor, value in executor.trace(inputs)}
    return values


def _given(
    graph: Graph, node: Node, twins: Mapping[int, int], true: Mapping[int, np.ndarray]
) -> list[np.ndarray | None] | None:
    """A node's operands with the float model's numbers; None where it has not all of them."""
    given: list[np.ndarray | None] = []
    for index in node.inputs:
        tensor = None if index is None else graph.tensors[index]
        if tensor is None or tensor.data is not None:
            given.append(None if tensor is None else tensor.data)
        elif tensor.variable or tensor.index not in twins:
            return None
        else:
            given.append(whole(true[twins[tensor.index]], tensor))
    return given


def by_what_they_add(layers: Sequence[LayerError]) -> Iterator[LayerError]:
    """The layers that add most first; those that can't be told last."""
    yield from sorted(layers, key=lambda layer: (layer.own_sqnr_db is None, layer.own_sqnr_db))
