"""What a caller may ask about a model's tensors, as plain values: a start needs no graph."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypedDict

    import numpy as np

    from .graph import Graph

    class TensorOutline(TypedDict):
        """`scales` (float32), `zero_points` (int64) and `fixed` as their bytes, or None."""

        index: int
        name: str
        shape: tuple[int, ...]
        dtype: str
        bytes: int
        scales: bytes | None
        zero_points: bytes | None
        axis: int
        fixed: bytes | None  # the one value that this input may have

    class Outline(TypedDict):
        """The model file's own tensors by their indices, not those of the rewritten graph."""

        tensors: dict[int, TensorOutline]
        inputs: tuple[int, ...]
        outputs: tuple[int, ...]
        signatures: dict[str, dict[str, dict[str, int]]]


def outline_of(graph: Graph) -> Outline:
    """Of nothing but dicts, tuples, strings, bytes and numbers, so that it can be stored."""
    return {
        "tensors": {index: outline_tensor(graph, index) for index in sorted(graph.tensors)},
        "inputs": tuple(graph.inputs),
        "outputs": tuple(graph.outputs),
        "signatures": {
            str(key): {side: dict(ends[side]) for side in ("inputs", "outputs")}
            for key, ends in graph.signatures.items()
        },
    }


def outline_tensor(graph: Graph, index: int) -> TensorOutline:
    """Of one tensor."""
    tensor, fixed = graph.tensors[index], graph.fixed_inputs.get(index)
    quantization = tensor.quantization
    return {
        "index": tensor.index,
        "name": tensor.name,
        "shape": tuple(tensor.shape),
        "dtype": tensor.dtype,
        "bytes": tensor.bytes,
        "scales": quantization.scales.tobytes() if quantization else None,
        "zero_points": quantization.zero_points.tobytes() if quantization else None,
        "axis": quantization.axis if quantization else 0,
        "fixed": None if fixed is None else fixed.tobytes(),
    }


def checked_arrays(
    expected: Sequence[TensorOutline], inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The inputs as C-ordered arrays, or an `InputError` that names what was needed."""
    import numpy as np

    from .dtypes import DTYPES
    from .errors import InputError

    if len(inputs) != len(expected):
        raise InputError(f"the model takes {len(expected)} input(s), {len(inputs)} given")
    arrays = []
    for tensor, value in zip(expected, inputs, strict=True):
        array, dtype = np.asarray(value), DTYPES[tensor["dtype"]]
        if array.dtype != dtype or array.shape != tensor["shape"]:
            raise InputError(
                f"input {tensor['name']!r} must be {tensor['dtype']} of shape "
                f"{list(tensor['shape'])}, not {array.dtype} of shape {list(array.shape)}"
            )
        if tensor["fixed"] is not None and array.tobytes() != tensor["fixed"]:
            fixed = np.frombuffer(tensor["fixed"], dtype).reshape(array.shape)
            raise InputError(
                f"input {tensor['name']!r} must be {fixed.tolist()}, the value that the model was "
                f"compiled for, not {array.tolist()}"
            )
        arrays.append(np.ascontiguousarray(array).reshape(array.shape))  # () stays ()
    return arrays


def details_of(tensor: TensorOutline) -> dict[str, Any]:
    """TFLite's dictionary for one tensor."""
    import numpy as np

    from .dtypes import DTYPES

    scales = np.frombuffer(tensor["scales"] or b"", np.float32)
    zero_points = np.frombuffer(tensor["zero_points"] or b"", np.int64)
    single = len(scales) == 1
    return {
        "name": tensor["name"],
        "index": tensor["index"],
        "shape": np.array(tensor["shape"], np.int32),
        "shape_signature": np.array(tensor["shape"], np.int32),
        "dtype": DTYPES[tensor["dtype"]].type,
        "quantization": (float(scales[0]), int(zero_points[0])) if single else (0.0, 0),
        "quantization_parameters": {
            "scales": scales.copy(),
            "zero_points": zero_points.astype(np.int32),
            "quantized_dimension": tensor["axis"],
        },
        "sparsity_parameters": {},
    }
