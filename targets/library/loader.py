"""Run a model that midge compiled to a shared library. Needs Python alone: neither midge nor NumPy.

model = Model()
(answer,) = model.run(image)      # bytes, or anything with a buffer, as NumPy arrays
"""

from __future__ import annotations

import ctypes
import mmap
import os


class Model:
    """One model with a memory of its own. Not to be used by two threads at once."""

    def __init__(self, library: object = None, layout: dict | None = None) -> None:
        self.layout = layout = LAYOUT if layout is None else layout
        if library is None:
            library = os.path.join(os.path.dirname(os.path.abspath(__file__)), layout["library"])
        functions = ctypes.CDLL(str(library))
        prefix = layout["prefix"]
        self._reset = functions[prefix + "_reset"]
        self._run = functions[prefix + "_run"]
        self._reset.argtypes = self._run.argtypes = [ctypes.c_void_p]
        self._run.restype = None
        self.instructions = layout["instructions"][functions[prefix + "_instructions"]()]
        self.memory = memory = memoryview(mmap.mmap(-1, layout["memory_bytes"]))
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._inputs, self._outputs = (
            [memory[o["offset"] : o["offset"] + o["bytes"]] for o in layout[side]]
            for side in ("inputs", "outputs")
        )
        self.reset()

    def reset(self) -> None:
        """Set the model's state to its initial values."""
        if self._reset(self._address):
            raise MemoryError("the model's memory must be aligned to 64 bytes")

    def run(self, *inputs: object) -> list[bytes]:
        """One inference; the answers as bytes."""
        if len(inputs) != len(self._inputs):
            raise ValueError(f"the model takes {len(self._inputs)} input(s), {len(inputs)} given")
        for number, (place, value) in enumerate(zip(self._inputs, inputs)):
            given = memoryview(value).cast("B")  # type: ignore[arg-type]
            if given.nbytes != place.nbytes:
                raise ValueError(f"input {number} takes {place.nbytes} bytes, {given.nbytes} given")
            place[:] = given
        self._run(self._address)
        return [bytes(place) for place in self._outputs]


def main() -> None:
    """Raw bytes of each input from the files named, those of the outputs to the standard output."""
    import sys

    if len(sys.argv) != 1 + len(LAYOUT["inputs"]):
        sys.exit(f"usage: {sys.argv[0]} {' '.join(i['name'] for i in LAYOUT['inputs'])} > OUTPUT")
    inputs = []
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            inputs.append(file.read())
    try:
        answers = Model().run(*inputs)
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(b"".join(answers))


LAYOUT: dict = {}  # what `midge compile` writes here
