"""One operator while it is read: its operands as tensors of the graph, its options checked.

A reader (see `tflite.READERS`) takes a `Reading` and answers with `Parts`. It raises `Malformed`
for what no TFLite file may say and `Unsupported` for what midge doesn't do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..attributes import Padding, Pair, Shape
from ..graph import Tensor
from ..shapes import effective, image_size, same_padding
from .tflite_file import FileOperator, Malformed

ACTIVATIONS = ("none", "relu", "relu_n1_to_1", "relu6", "tanh", "sign_bit")
QUANTIZED = ("int8", "uint8", "int16")


class Unsupported(Exception):
    """This one node can't be read: why, and what the user can do."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.why, self.remedy = why, remedy


class Parts(NamedTuple):
    """What a reader finds: the operator in `ops.OPERATORS`, its attributes, its operands."""

    op: str
    attrs: Any
    inputs: tuple[int | None, ...]
    binary: tuple[int, ...] = ()  # int32 tensors of the file whose numbers are packed bits
    values: tuple[np.ndarray, ...] | None = None  # the outputs, where they are known: no node
    states: tuple[tuple[Shape, str], ...] = ()  # shape and dtype of those that no tensor stands for


@dataclass(frozen=True)
class Reader:
    """How one operator of the file is read."""

    read: Callable[[Reading], Parts]
    options: str | None  # the options table it must carry; None: whatever it has is ignored
    version: int  # the newest that is understood
    inputs: tuple[int, int] = (1, 1)  # least and most operands
    outputs: int | None = 1  # None: any number


@dataclass(frozen=True)
class Reading:
    """An operator with the tensors known so far."""

    operator: FileOperator
    tensors: Mapping[int, Tensor]
    graph_inputs: frozenset[int]

    # ---- operands ----

    def index(self, position: int) -> int | None:
        """The tensor index at an input position; None where it is left out."""
        inputs = self.operator.inputs
        return inputs[position] if position < len(inputs) and inputs[position] >= 0 else None

    def optional(self, position: int) -> Tensor | None:
        index = self.index(position)
        return None if index is None else self.tensors[index]

    def tensor(self, position: int) -> Tensor:
        """The operand at a position that must be there."""
        found = self._present(position)
        if 0 in found.shape:
            raise Malformed(f"input {position} has no elements")
        return found

    def _present(self, position: int) -> Tensor:
        found = self.optional(position)
        if found is None:
            raise Malformed(f"input {position} is missing")
        return found

    def output(self, position: int = 0) -> Tensor:
        return self.tensors[self.operator.outputs[position]]

    def operands(self, *positions: int) -> tuple[int | None, ...]:
        """Operands by position; trailing ones that are left out are dropped."""
        found = [self.index(position) for position in positions]
        while found and found[-1] is None:
            found.pop()
        return tuple(found)

    def constant(self, position: int, what: str) -> np.ndarray:
        """The numbers of an integer operand that must be known when the model is compiled."""
        tensor = self._present(position)  # a scalar's shape has no elements
        if tensor.dtype not in ("int32", "int64"):
            raise Malformed(f"the {what} must be int32 or int64, not {tensor.dtype}")
        if tensor.data is None:
            raise Unsupported(
                f"the {what} is computed while the model runs",
                "convert the model with fixed input shapes, so that it becomes a constant",
            )
        return np.asarray(tensor.data)

    def numbers(self, position: int, what: str, count: int | None = None) -> tuple[int, ...]:
        """A constant vector (or scalar) of integers, `count` of them if that is known."""
        found = tuple(int(n) for n in self.constant(position, what).reshape(-1))
        if count is not None and len(found) != count:
            raise Malformed(f"the {what} must be {count} numbers, not {len(found)}")
        return found

    def state(self, position: int) -> Tensor:
        """An operand that the operator keeps from one inference to the next."""
        tensor = self.tensor(position)
        if not tensor.variable:
            raise Unsupported(
                f"its state, tensor {tensor.index}, is not a variable tensor",
                "convert the model with TensorFlow Lite, which marks states as variable",
            )
        return tensor

    # ---- types ----

    def image(self, position: int = 0) -> Tensor:
        """An operand of four axes."""
        tensor = self.tensor(position)
        if len(tensor.shape) != 4:
            raise Malformed(f"input {position} must have 4 axes, not {len(tensor.shape)}")
        return tensor

    def same_type(self, *positions: int) -> None:
        """Inputs at these positions (default: the first) and all outputs have one dtype."""
        inputs = [self.tensor(position) for position in positions or (0,)]
        outputs = [self.output(i) for i in range(len(self.operator.outputs))]
        for tensor in (*inputs, *outputs):
            if tensor.dtype != inputs[0].dtype:
                raise Unsupported(
                    f"it mixes {inputs[0].dtype} and {tensor.dtype}",
                    "convert the model with full integer quantization, or in float32",
                )

    def per_tensor(self, *tensors: Tensor) -> None:
        """Quantized activations must have one scale each."""
        for tensor in tensors:
            if tensor.dtype not in QUANTIZED:
                continue
            if tensor.quantization is None:
                raise Malformed(f"tensor {tensor.index} of type {tensor.dtype} has no scale")
            if tensor.quantization.per_axis:
                raise Unsupported(
                    f"tensor {tensor.index} has a scale for each slice, which only weights may",
                    "quantize activations with one scale a tensor",
                )

    # ---- options ----

    def option(self, name: str, default: Any = None) -> Any:
        """An option by the schema's accessor name; `default` if the node has no options."""
        options = self.operator.options
        if options is None and default is None:
            raise Malformed("its options are missing")
        return default if options is None else options.get(name)

    def option_vector(self, name: str) -> list[int]:
        """A vector option; empty if it or all options are left out."""
        options = self.operator.options
        return [] if options is None else options.vector(name)

    def activation(self, *allowed: str) -> str:
        """The fused activation; TANH and SIGN_BIT only where allowed by name."""
        number = self.option("FusedActivationFunction", 0)
        if not 0 <= number < len(ACTIVATIONS):
            raise Malformed(f"there is no activation {number}")
        name = ACTIVATIONS[number]
        if name in ("tanh", "sign_bit") and name not in allowed:
            raise Unsupported(
                f"the fused activation {name.upper()} is not supported",
                "use RELU, RELU6 or none, or make the activation a node of its own",
            )
        return name

    def number(self, name: str) -> float:
        """A float option, which must be finite."""
        value = float(self.option(name))
        if not np.isfinite(value):
            raise Malformed(f"{name} must be finite, not {value}")
        return value

    def stride(self) -> Pair:
        return self._pair("stride", self.option("StrideH"), self.option("StrideW"))

    def dilation(self) -> Pair:
        height, width = self.option("DilationHFactor"), self.option("DilationWFactor")
        return self._pair("dilation", height, width)

    def filter(self) -> Pair:
        return self._pair("window", self.option("FilterHeight"), self.option("FilterWidth"))

    def _pair(self, what: str, height: int, width: int) -> Pair:
        if height < 1 or width < 1:
            raise Malformed(f"the {what} must be positive, not {height}x{width}")
        return height, width

    def padding(self, size: Pair, extent: Pair, stride: Pair) -> Padding:
        """SAME or VALID as rows and columns round an image of `size`."""
        scheme = self.option("Padding")
        if scheme not in (0, 1):
            raise Malformed(f"there is no padding scheme {scheme}")
        if scheme == 1:
            return Padding()
        (top, bottom), (left, right) = map(same_padding, size, extent, stride)
        return Padding(top, bottom, left, right)

    def window(self, kernel: Pair, dilation: Pair = (1, 1)) -> tuple[Pair, Padding]:
        """(stride, padding) of a window over the first operand, which it must fit."""
        size, stride = image_size(self.image().shape), self.stride()
        extent = effective(kernel, dilation)
        padding = self.padding(size, extent, stride)
        height = size[0] + padding.top + padding.bottom
        width = size[1] + padding.left + padding.right
        if extent[0] > height or extent[1] > width:
            raise Malformed(
                f"a window of {extent[0]}x{extent[1]} doesn't fit an image of {size[0]}x{size[1]}"
            )
        return stride, padding


def axis_in(axis: int, rank: int, what: str = "axis") -> int:
    """An axis counted from the front; negative ones count from the back."""
    if not -rank <= axis < rank:
        raise Malformed(f"the {what} {axis} is out of range for {rank} axes")
    return axis % rank
