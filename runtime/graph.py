"""The graph: operators over tensors, as frozen values.

A stage of the compiler takes a graph and returns another; nothing writes into one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from .dtypes import BINARY, DTYPES, WORD_BITS

__all__ = ["BINARY", "DTYPES", "WORD_BITS", "Graph", "Node", "Quantization", "Tensor"]


@dataclass(frozen=True, eq=False)
class Quantization:
    """real = scale * (q - zero_point), one pair for the tensor or one for each slice of `axis`.

    What is brought into an int8 tensor's scale is multiplied by a fixed-point number as TFLite
    does, or with `in_floats` by a float32, ties to even, as ONNX Runtime does.
    """

    scales: np.ndarray  # float32 [n], as in the model file
    zero_points: np.ndarray  # int64 [n]
    axis: int = 0
    in_floats: bool = False

    def __post_init__(self) -> None:
        for name, dtype in (("scales", np.float32), ("zero_points", np.int64)):
            values = np.array(getattr(self, name), dtype=dtype).reshape(-1)
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @property
    def per_axis(self) -> bool:
        return len(self.scales) > 1

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor quantization, exactly as the file's float32."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        return int(self.zero_points[0])


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph: shape in elements (NHWC for images), dtype, and data if constant."""

    index: int  # unique in its graph; a model file's own tensor index where there is one
    name: str
    shape: tuple[int, ...]
    dtype: str  # a key of DTYPES
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    variable: bool = False  # state that survives from one inference to the next
    initial: np.ndarray | None = None  # what a state starts as; None: its zero point

    def __post_init__(self) -> None:
        if self.data is not None:
            data = np.ascontiguousarray(self.data, dtype=DTYPES[self.dtype]).reshape(self.shape)
            data = data if data is not self.data else data.view()
            data.flags.writeable = False
            object.__setattr__(self, "data", data)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        return DTYPES[self.dtype].itemsize

    @property
    def bytes(self) -> int:
        return self.elements * self.itemsize

    @property
    def constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        return self._quantization().scale

    @property
    def zero_point(self) -> int:
        return self._quantization().zero_point

    def _quantization(self) -> Quantization:
        if self.quantization is None:
            raise ValueError(f"tensor {self.index} ({self.name!r}) has no quantization")
        return self.quantization


@dataclass(frozen=True, eq=False)
class Node:
    """One operator: a key of `ops.OPERATORS`, its operands by tensor index, its attributes."""

    op: str
    inputs: tuple[int | None, ...]  # None is an optional operand left out
    outputs: tuple[int, ...]
    attrs: Any = None  # the frozen attribute class that ops.OPERATORS[op] names
    name: str = ""
    origin: int | None = None  # number of the operator in the model file; None if a pass made it

    @property
    def operands(self) -> tuple[int, ...]:
        return tuple(index for index in self.inputs if index is not None)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an executable order over tensors in SSA form."""

    nodes: tuple[Node, ...]
    tensors: Mapping[int, Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sha256: str = ""  # of the model file it was read from
    signatures: Mapping[str, Any] = field(default_factory=dict)
    # Inputs that may hold one value only, since the graph was made for it (an output shape).
    fixed_inputs: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @cached_property
    def producers(self) -> Mapping[int, int]:
        """Tensor index -> the node that makes it."""
        return {t: i for i, node in enumerate(self.nodes) for t in node.outputs}

    @cached_property
    def consumers(self) -> Mapping[int, tuple[int, ...]]:
        """Tensor index -> the nodes that read it, in order, each once."""
        readers: dict[int, list[int]] = {t: [] for t in self.tensors}
        for i, node in enumerate(self.nodes):
            for t in dict.fromkeys(node.operands):
                readers[t].append(i)
        return {t: tuple(nodes) for t, nodes in readers.items()}

    def operand(self, node: Node, position: int) -> Tensor | None:
        """The tensor at an input position, None where it is left out."""
        index = node.inputs[position] if position < len(node.inputs) else None
        return None if index is None else self.tensors[index]

    def input(self, node: Node, position: int = 0) -> Tensor:
        tensor = self.operand(node, position)
        if tensor is None:
            raise ValueError(f"{node.op} {node.name!r} has no input {position}")
        return tensor

    def output(self, node: Node, position: int = 0) -> Tensor:
        return self.tensors[node.outputs[position]]

    def is_activation(self, index: int) -> bool:
        """True for a tensor that needs room while the program runs: neither constant nor state."""
        tensor = self.tensors[index]
        return not tensor.constant and not tensor.variable

    def with_nodes(
        self, nodes: Sequence[Node], tensors: Mapping[int, Tensor] | None = None, **changes: Any
    ) -> Graph:
        """This graph with other nodes; tensors that nobody names any more are dropped."""
        pool = dict(self.tensors) | dict(tensors or {})
        inputs = changes.pop("inputs", self.inputs)
        outputs = changes.pop("outputs", self.outputs)
        used = {*inputs, *outputs}
        for node in nodes:
            used.update(node.operands, node.outputs)
        kept = {index: tensor for index, tensor in pool.items() if index in used}
        return replace(
            self, nodes=tuple(nodes), tensors=kept, inputs=inputs, outputs=outputs, **changes
        )

    def next_index(self) -> int:
        """A tensor index that is still free."""
        return max(self.tensors, default=-1) + 1
