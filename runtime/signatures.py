"""Models called by the names of one of their signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .interpreter import Interpreter


class SignatureRunner:
    """Calls a model by the names of one of its signatures."""

    def __init__(
        self, interpreter: Interpreter, key: str, ends: Mapping[str, Mapping[str, int]]
    ) -> None:
        self._interpreter, self._key = interpreter, key
        self._inputs, self._outputs = ends["inputs"], ends["outputs"]

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        if inputs.keys() != self._inputs.keys():
            raise ValueError(
                f"signature {self._key!r} takes the inputs {', '.join(sorted(self._inputs))}; "
                f"got {', '.join(sorted(inputs)) or 'none'}"
            )
        self._interpreter.allocate_tensors()
        for name, value in inputs.items():
            self._interpreter.set_tensor(self._inputs[name], value)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(i) for name, i in self._outputs.items()}

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        return self._details(self._inputs)

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        return self._details(self._outputs)

    def _details(self, ends: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        known = {entry["index"]: entry for entry in self._interpreter.get_tensor_details()}
        return {name: known[index] for name, index in ends.items()}
