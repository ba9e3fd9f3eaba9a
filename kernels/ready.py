"""Models that are ready, for arrays: what `Interpreter` and `InferenceSession` run on the host."""

from __future__ import annotations

import math

import numpy as np

from ..runtime.dtypes import DTYPES
from .mapped import MappedModel
from .runner import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..runtime.outline import TensorOutline
    from ..runtime.ready import Ready


class ReadyExecutor(Runner):
    """A ready model as an executor. What needs the program itself (a trace) it can't do."""

    def __init__(self, ready: Ready) -> None:
        self._model = model = MappedModel(ready)
        outline = ready.header["outline"]
        inputs, outputs = (
            [outline["tensors"][index] for index in outline[side]] for side in ("inputs", "outputs")
        )
        views = zip(inputs, ready.header["inputs"])
        answers = zip(outputs, ready.header["outputs"])
        super().__init__(
            inputs,
            [self._view(tensor, place) for tensor, place in views],
            [self._view(tensor, place) for tensor, place in answers],
            model.invoke,
        )
        self.reset, self.close = model.reset, model.close

    def _view(self, tensor: TensorOutline, place: tuple[int, int] | bytes) -> np.ndarray:
        dtype, shape = DTYPES[tensor["dtype"]], tensor["shape"]
        if isinstance(place, bytes):
            return np.frombuffer(place, dtype).reshape(shape)
        return np.frombuffer(self._model.arena, dtype, math.prod(shape), place[0]).reshape(shape)
