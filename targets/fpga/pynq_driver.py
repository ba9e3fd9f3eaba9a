"""The accelerator on a PYNQ board, by `pynq` itself.

Nothing compiled is needed but NumPy: the board's 32-bit processor has no Numba.

    overlay = pynq.Overlay("midge.bit")
    network = overlay.midge.open("model.npz")
    answer, = network.run([image])

`model.npz` is what `save_stretch` wrote on the machine that compiled the model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pynq

from ...hw.jobs import decode_job
from ...hw.machine import Machine, Register
from ...hw.queue import ALIGNMENT, Place, QueueDriver, Stretch
from ...runtime.errors import ExecutionError, InputError

VLNV = "midge:midge:accelerator:1.0"
FORMAT = 1  # of the file
_PLACES = ("inputs", "outputs")


class PynqBuffer:
    """Memory of `pynq.allocate`, cached by the processor: it must be flushed and invalidated."""

    def __init__(self, words: int, device: Any) -> None:
        self.array = pynq.allocate((max(words, 1),), dtype=np.uint32, target=device)
        self.address = int(self.array.physical_address)
        if self.address % ALIGNMENT:
            raise ExecutionError(
                f"shared memory must be aligned to {ALIGNMENT} bytes, not at {self.address:#x}"
            )

    def flush(self) -> None:
        """Write the processor's cache back to memory."""
        self.array.flush()

    def invalidate(self) -> None:
        """Make the processor read memory again."""
        self.array.invalidate()


class PynqBus:
    """`hw.queue.Bus` over a `pynq.DefaultIP`."""

    def __init__(self, ip: Any, clock_mhz: float, least_seconds: float) -> None:
        self._ip, self._clock_mhz, self._least_seconds = ip, clock_mhz, least_seconds

    def write(self, register: int, value: int) -> None:
        """Write a register."""
        self._ip.write(int(register), int(value))

    def read(self, register: int) -> int:
        """Read a register."""
        return int(self._ip.read(int(register)))

    def allocate(self, words: int) -> PynqBuffer:
        """A shared buffer."""
        return PynqBuffer(words, self._ip.device)

    def wait(self, cycles: int) -> None:
        """Poll for the interrupt, for about `cycles` of the accelerator's clock at most.

        The time is at least `least_seconds`, so that a busy processor is no reason to give up, and
        pauses grow, so that a long run does not keep the processor busy.
        """
        seconds = max(cycles / (self._clock_mhz * 1e6), self._least_seconds)
        end = time.monotonic() + seconds
        pause = 20e-6
        while not self.read(Register.INTERRUPT) and time.monotonic() < end:
            time.sleep(pause)
            pause = min(2 * pause, 1e-3)


class AcceleratorIp(pynq.DefaultIP):
    """What `Overlay` makes of the accelerator that it finds in the design."""

    bindto = [VLNV]
    clock_mhz = 125.0  # what waits are reckoned with; the clock itself is the overlay's
    least_seconds = 1.0  # that a run is waited for

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        self._queue: QueueDriver | None = None

    @property
    def queue(self) -> QueueDriver:
        """The driver; made, with a check of the device's identity, when it is first asked for."""
        if self._queue is None:
            self._queue = QueueDriver(PynqBus(self, self.clock_mhz, self.least_seconds))
        return self._queue

    def open(self, path: str | Path) -> Network:
        """A compiled network, put on the chip."""
        stretch = load_stretch(path)
        self.queue.load(stretch)
        return Network(self.queue, stretch)


class Network:
    """A network on the chip."""

    def __init__(self, queue: QueueDriver, stretch: Stretch) -> None:
        self._queue, self.stretch = queue, stretch

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """int8 inputs of any shape with the right size; flat int8 outputs."""
        if len(inputs) != len(self.stretch.inputs):
            raise InputError(
                f"the network takes {len(self.stretch.inputs)} input(s), {len(inputs)} given"
            )
        return self._queue.run(self.stretch, [np.ascontiguousarray(x) for x in inputs])


def save_stretch(stretch: Stretch, path: str | Path) -> None:
    """Write a stretch as one `.npz` file."""
    places = {
        name: np.array([astuple(place) for place in getattr(stretch, name)], np.int64)
        for name in _PLACES
    }
    np.savez_compressed(
        path,
        format=np.int64(FORMAT),
        machine=np.array(stretch.machine.to_words(), np.int64),
        jobs=np.array([job.encode() for job in stretch.jobs], np.uint32),
        weights=stretch.weights,
        parameters=stretch.parameters,
        **places,
    )


def load_stretch(path: str | Path) -> Stretch:
    """Read what `save_stretch` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a network for the accelerator: {error}") from None
    if arrays.get("format") != FORMAT:
        raise InputError(
            f"{path} must be a network of format {FORMAT}, not {arrays.get('format')}; compile it "
            "with the midge that drives the board"
        )
    places = {
        name: tuple(Place(*map(int, row)) for row in arrays[name].reshape(-1, 6))
        for name in _PLACES
    }
    machine = Machine.from_words(list(arrays["machine"]))
    jobs = tuple(decode_job([int(word) for word in row]) for row in arrays["jobs"])
    for job in jobs:
        job.check(machine)
    return Stretch(
        machine, places["inputs"], places["outputs"], jobs, arrays["weights"], arrays["parameters"]
    )
