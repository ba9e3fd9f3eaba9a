"""A session in the manner of ONNX Runtime's `InferenceSession`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .backend import Measurement, find_backend
from .errors import InputError
from .graph import Tensor
from .plan_cache import compile_cached

_ORT_NAMES = {"float32": "float", "bool": "bool", "binary": "int32"}


@dataclass(frozen=True)
class NodeArg:
    """Name, shape and type of an input or output, as ONNX Runtime describes them."""

    name: str
    shape: tuple[int, ...]
    type: str  # as "tensor(int8)"


class InferenceSession:
    """`InferenceSession(path).run(None, {name: array})`, for any model that midge reads.

    `providers` are targets of midge, the first that exists is taken; the default is the host.
    """

    def __init__(
        self,
        path_or_bytes: str | Path | bytes,
        sess_options: Any = None,
        providers: Sequence[str] | None = None,
        provider_options: Any = None,
    ) -> None:
        self._target = providers[0] if providers else "host"
        self._program = compile_cached(path_or_bytes, self._target)
        self._executor = find_backend(self._target).build(self._program)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, np.ndarray],
        run_options: Any = None,
    ) -> list[np.ndarray]:
        """The named outputs (all for None), from inputs by name."""
        inputs = [t.name for t in self._program.inputs]
        if set(input_feed) != set(inputs):
            raise InputError(
                f"the model takes the inputs {', '.join(map(repr, inputs))}; "
                f"got {', '.join(map(repr, input_feed)) or 'none'}"
            )
        outputs = [t.name for t in self._program.outputs]
        wanted = list(outputs if output_names is None else output_names)
        unknown = [name for name in wanted if name not in outputs]
        if unknown:
            raise InputError(
                f"no output {unknown[0]!r}; the model has {', '.join(map(repr, outputs))}"
            )
        values = self._executor.run([input_feed[name] for name in inputs])
        return [values[outputs.index(name)] for name in wanted]

    def get_inputs(self) -> list[NodeArg]:
        return [_node_arg(tensor) for tensor in self._program.inputs]

    def get_outputs(self) -> list[NodeArg]:
        return [_node_arg(tensor) for tensor in self._program.outputs]

    def get_providers(self) -> list[str]:
        return [self._target]

    @property
    def measurement(self) -> Measurement:
        """What the last run cost."""
        return self._executor.measurement


def _node_arg(tensor: Tensor) -> NodeArg:
    kind = _ORT_NAMES.get(tensor.dtype, tensor.dtype)
    return NodeArg(tensor.name, tensor.shape, f"tensor({kind})")
