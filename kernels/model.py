"""A model for callers who have bytes: no NumPy is imported where the cache has the model."""

from __future__ import annotations

from ..runtime import ready
from .mapped import MappedModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ..runtime.outline import TensorOutline


class Model:
    """`Model("model.tflite").run(image)`: bytes, or anything with a buffer, in; bytes out.

    It runs on this computer, on one thread, and is the fastest way to a first answer. Not to be
    used by two threads at once. `inputs` and `outputs` tell names, shapes and types.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        found = ready.find(source, 1, {}) or ready.make("host", source, 1, {})
        if found is None:
            raise _input_error("parts of this model run in NumPy: use Interpreter instead of Model")
        self._model = model = MappedModel(found)
        outline, memory = found.header["outline"], memoryview(model.arena)
        self.inputs: list[TensorOutline]
        self.outputs: list[TensorOutline]
        self.inputs, self.outputs = (
            [outline["tensors"][index] for index in outline[side]] for side in ("inputs", "outputs")
        )
        self._places, self._answers = (
            [
                memoryview(place) if isinstance(place, bytes) else memory[place[0] :][: place[1]]
                for place in found.header[side]
            ]
            for side in ("inputs", "outputs")
        )

    def run(self, *inputs: object) -> list[bytes]:
        """One inference; the answers as bytes."""
        if len(inputs) != len(self._places):
            raise _input_error(f"the model takes {len(self._places)} input(s), {len(inputs)} given")
        for tensor, place, value in zip(self.inputs, self._places, inputs):
            given = memoryview(value).cast("B")  # type: ignore[arg-type]
            if given.nbytes != place.nbytes:
                raise _input_error(
                    f"input {tensor['name']!r} takes {place.nbytes} bytes, {given.nbytes} given"
                )
            if tensor["fixed"] is not None and given != tensor["fixed"]:
                raise _input_error(
                    f"input {tensor['name']!r} may have one value only, for which the model was "
                    "compiled"
                )
            place[:] = given
        self._model.invoke()
        return [bytes(place) for place in self._answers]

    def reset(self) -> None:
        """Set the model's state to its initial values."""
        self._model.reset()


def _input_error(why: str) -> ValueError:
    from ..runtime.errors import InputError

    return InputError(why)
