"""A graph under construction from ONNX: values by name, their layout, and nodes as they come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..attributes import NoAttrs, Reshape, Shape, Transpose
from ..graph import DTYPES, Graph, Node, Quantization, Tensor
from ..narrow import CARRIERS, carried
from ..ops import OPERATORS
from .tflite_file import MAX_ELEMENTS, MAX_RANK
from .tflite_reading import Unsupported

PLAIN, IMAGE, FLAT = "plain", "image", "flat"
TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def refuse_large(shape: Sequence[int]) -> None:
    """`Unsupported` for what no tensor may have."""
    if len(shape) > MAX_RANK or math.prod(shape) > MAX_ELEMENTS:
        raise Unsupported(
            f"its output has the shape {list(shape)}; at most {MAX_RANK} axes and "
            f"{MAX_ELEMENTS} elements are read",
            "export it for smaller shapes",
        )


@dataclass(frozen=True)
class Value:
    """A tensor and how it lies: as ONNX has it, an image in NHWC, or an NHWC image made flat.

    `image` is the image's NHWC shape where `layout` is FLAT. A `shifted` value was uint8 and is
    kept as int8, 128 less.
    """

    index: int
    layout: str = PLAIN
    image: Shape = ()
    shifted: bool = False


class Builder:
    """Tensors and nodes so far.

    `scales` has the quantization of constants that were dequantized, by name. A float constant made
    of one carries it, so that `onnx_qdq` finds its integers again. `offers` has values of inputs
    that may be taken for constants where an operator needs one, `fixed` those that were; `makers`
    tries to make a constant of what was computed from them. `narrow` has the types of tensors whose
    numbers stand in a wider one.
    """

    def __init__(self) -> None:
        self.tensors: dict[int, Tensor] = {}
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.scales: dict[str, Quantization] = {}
        self.offers: dict[str, np.ndarray] = {}
        self.fixed: dict[int, np.ndarray] = {}
        self.makers: dict[str, Callable[[], None]] = {}
        self.narrow: dict[str, np.dtype] = {}

    # ---- tensors ----

    def add(
        self,
        name: str,
        shape: Shape,
        dtype: str,
        quantization: Quantization | None = None,
        data: np.ndarray | None = None,
    ) -> int:
        index = len(self.tensors)
        self.tensors[index] = Tensor(index, name, shape, dtype, quantization, data)
        return index

    def input(self, name: str, shape: Shape, dtype: str) -> int | None:
        """None for a type that the graph doesn't have."""
        if dtype not in DTYPES:
            return None
        index = self.add(name, shape, dtype)
        self.values[name] = Value(index)
        return index

    def constant(
        self, data: np.ndarray, name: str = "", quantization: Quantization | None = None
    ) -> int:
        data = carried(np.asarray(data))
        if data.dtype.name not in DTYPES:
            raise Unsupported(
                f"a constant has the type {data.dtype}", "export the model in float32 or int8"
            )
        return self.add(name, data.shape, data.dtype.name, quantization, data)

    def node(
        self,
        op: str,
        inputs: Sequence[int | None],
        attrs: Any = None,
        dtype: str | None = None,
        quantization: Quantization | None = None,
        name: str = "",
        origin: int | None = None,
        outputs: int = 1,
        dtypes: Sequence[str | None] = (),
    ) -> tuple[int, ...]:
        """Append a node; its outputs, of the first input's type unless `dtype` says another, or
        `dtypes` does for each."""
        first = next(i for i in inputs if i is not None)
        kind = dtype or self.tensors[first].dtype
        kinds = [own or kind for own in dtypes] or [kind] * outputs
        made = tuple(self.add(name, (), own, quantization) for own in kinds)
        new = Node(op, tuple(inputs), made, attrs or NoAttrs(), name, origin)
        used = {i: self.tensors[i] for i in (*new.operands, *made)}
        shapes = OPERATORS[op].shapes(Graph((), used, (), ()), new)
        for shape in shapes:
            refuse_large(shape)
        for index, shape, own in zip(made, shapes, kinds, strict=True):
            self.tensors[index] = Tensor(index, name, tuple(map(int, shape)), own, quantization)
        self.nodes.append(new)
        return made

    def graph(self, inputs: tuple[int, ...], outputs: tuple[int, ...], digest: str) -> Graph:
        return Graph(
            tuple(self.nodes), self.tensors, inputs, outputs, digest, fixed_inputs=self.fixed
        )

    def known(self, name: str, insist: bool = False) -> np.ndarray | None:
        """The value of a constant, or of an input that is offered as one and from now on is one.

        If it is asked for in earnest, so is what follows from such values alone.
        """
        if name in self.offers:
            value = self.offers.pop(name)
            value = value.astype(self.narrow.get(name, value.dtype))
            self.fixed[self.values.pop(name).index] = carried(value)
            self.constants[name] = value
        elif insist and name not in self.constants and name in self.makers:
            self.makers.pop(name)()
        return self.constants.get(name)

    def narrow_of(self, name: str) -> np.dtype | None:
        """The type of a tensor whose numbers stand in a wider one."""
        data = self.constants.get(name)
        if data is not None:
            return data.dtype if data.dtype.name in CARRIERS else None
        return self.narrow.get(name)

    # ---- values ----

    def value(self, name: str) -> Value:
        """The value of a name; a constant becomes a tensor when it is first asked for."""
        if name not in self.values:
            made = self.constant(self.constants[name], name, self.scales.get(name))
            self.values[name] = Value(made)
        return self.values[name]

    def shape(self, name: str) -> Shape:
        """The shape as ONNX has it."""
        if name not in self.values and name in self.constants:
            return tuple(self.constants[name].shape)
        value = self.value(name)
        shape = self.tensors[value.index].shape
        return tuple(shape[i] for i in TO_NCHW) if value.layout == IMAGE else shape

    def plain(self, name: str) -> int:
        """The tensor in ONNX's own order and type."""
        value = self.value(name)
        if value.shifted:
            value = self.unshifted(value)
            self.values[name] = value
        if value.layout == IMAGE:
            index = self.transposed(value.index, TO_NCHW)
        elif value.layout == FLAT:
            (image,) = self.node("reshape", [value.index], Reshape(value.image),
                                 quantization=self.tensors[value.index].quantization)  # fmt: skip
            index = self.reshaped(self.transposed(image, TO_NCHW), self.tensors[value.index].shape)
        else:
            return value.index
        self.values[name] = Value(index)
        return index

    def unshifted(self, value: Value) -> Value:
        """uint8 again."""
        tensor = self.tensors[value.index]
        assert tensor.quantization is not None
        scales = Quantization(tensor.quantization.scales, tensor.quantization.zero_points + 128)
        (index,) = self.node("quantize", [value.index], None, "uint8", scales, tensor.name)
        return Value(index, value.layout, value.image)

    def image(self, name: str) -> int:
        """The tensor in NHWC; `Unsupported` unless it has four axes."""
        value = self.value(name)
        if value.shifted:
            value = self.values[name] = self.unshifted(value)
        if value.layout == IMAGE:
            return value.index
        index = self.plain(name)
        if len(self.tensors[index].shape) != 4:
            raise Unsupported(
                f"its input has {len(self.tensors[index].shape)} axes, images have four",
                "export it for two-dimensional images",
            )
        made = self.transposed(index, TO_NHWC)
        if not self.tensors[index].constant:
            self.values[name] = Value(made, IMAGE)
        return made

    def transposed(self, index: int, permutation: Shape) -> int:
        tensor = self.tensors[index]
        if tensor.data is not None:
            scales = tensor.quantization
            if scales is not None and scales.per_axis:
                axis = permutation.index(scales.axis)
                scales = Quantization(scales.scales, scales.zero_points, axis)
            return self.constant(tensor.data.transpose(permutation), tensor.name, scales)
        moved = [i for i in permutation if tensor.shape[i] > 1]
        if moved == sorted(moved):  # only axes of one element move
            return self.reshaped(index, tuple(tensor.shape[i] for i in permutation))
        return self.node("transpose", [index], Transpose(tuple(permutation)),
                         quantization=tensor.quantization, name=tensor.name)[0]  # fmt: skip

    def reshaped(self, index: int, shape: Shape) -> int:
        tensor = self.tensors[index]
        if tensor.shape == shape:
            return index
        if tensor.data is not None:
            scales = tensor.quantization
            if scales is not None and scales.per_axis:
                scales = None
            return self.constant(tensor.data.reshape(shape), tensor.name, scales)
        return self.node("reshape", [index], Reshape(tuple(shape)),
                         quantization=tensor.quantization, name=tensor.name)[0]  # fmt: skip
