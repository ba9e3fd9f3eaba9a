"""A session in the manner of ONNX Runtime's `InferenceSession`."""

from __future__ import annotations

import numpy as np

from . import ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from .backend import Executor, Measurement
    from .outline import Outline, TensorOutline

_ORT_NAMES = {"float32": "float", "bool": "bool", "binary": "int32"}


class NodeArg:
    """Name, shape and type of an input or output, as ONNX Runtime describes them."""

    def __init__(self, tensor: TensorOutline) -> None:
        self.name, self.shape = tensor["name"], tensor["shape"]
        self.type = f"tensor({_ORT_NAMES.get(tensor['dtype'], tensor['dtype'])})"


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
        self._outline, self._executor = _start(path_or_bytes, self._target)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, np.ndarray],
        run_options: Any = None,
    ) -> list[np.ndarray]:
        """The named outputs (all for None), from inputs by name."""
        inputs = [arg.name for arg in self.get_inputs()]
        if set(input_feed) != set(inputs):
            raise _input_error(
                f"the model takes the inputs {', '.join(map(repr, inputs))}; "
                f"got {', '.join(map(repr, input_feed)) or 'none'}"
            )
        outputs = [arg.name for arg in self.get_outputs()]
        wanted = list(outputs if output_names is None else output_names)
        unknown = [name for name in wanted if name not in outputs]
        if unknown:
            raise _input_error(
                f"no output {unknown[0]!r}; the model has {', '.join(map(repr, outputs))}"
            )
        values = self._executor.run([input_feed[name] for name in inputs])
        return [values[outputs.index(name)] for name in wanted]

    def get_inputs(self) -> list[NodeArg]:
        return [NodeArg(self._outline["tensors"][index]) for index in self._outline["inputs"]]

    def get_outputs(self) -> list[NodeArg]:
        return [NodeArg(self._outline["tensors"][index]) for index in self._outline["outputs"]]

    def get_providers(self) -> list[str]:
        return [self._target]

    @property
    def measurement(self) -> Measurement:
        """What the last run cost."""
        return self._executor.measurement


def _start(source: str | Path | bytes, target: str) -> tuple[Outline, Executor]:
    if target in ready.MAKERS:
        found = ready.find(source, 1, {}) or ready.make(target, source, 1, {})
        if found is not None:
            return found.header["outline"], ready.executor(target, found)
    from .backend import find_backend
    from .outline import outline_of
    from .plan_cache import compile_cached

    program = compile_cached(source, target)
    return outline_of(program.graph), find_backend(target).build(program)


def _input_error(why: str) -> ValueError:
    from .errors import InputError

    return InputError(why)
