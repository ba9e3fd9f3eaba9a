"""The host's side of MLPerf Tiny's serial protocol (mlcommons/tiny, benchmark/runner).

A command ends with "%", its reply with a line that contains "m-ready".
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...runtime.errors import ExecutionError
from ...sim.serial_line import SerialLine

REPLY_S = 5.0  # longest wait for a line of a reply that takes no computing
INFERENCE_S = 600.0  # and for one that does
BYTES_A_LINE = 31  # of data, so that a command stays below the 80 characters of its buffer
_READY = "m-ready"


@dataclass(frozen=True)
class Lap:
    """`iterations` inferences in a row, and what the last one gave."""

    iterations: int
    us: int
    results: tuple[str, ...]

    @property
    def per_second(self) -> float:
        return self.iterations * 1e6 / max(self.us, 1)


class Device:
    """A device under test at the other end of a line."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        # What came before is of no interest, and half a command may still stand in the device.
        self.command("", quiet=True)
        self.name = self._field("name", r"m-name-dut-\[([^]]*)\]")
        self.model = self._field("profile", r"m-model-\[([^]]*)\]")

    def command(self, text: str, timeout_s: float = REPLY_S, quiet: bool = False) -> list[str]:
        """The lines of the reply before "m-ready"; errors of the device are raised."""
        self._line.write(f"{text}%".encode("ascii"))
        lines: list[str] = []
        while True:
            line = self._line.read_line(timeout_s)
            if _READY in line:
                # Boot messages end with this too: the reply to the empty command is an error.
                if quiet and not any(known.startswith("e-") for known in lines):
                    continue
                break
            lines.append(line)
        errors = [line for line in lines if line.startswith("e-")]
        if errors and not quiet:
            raise ExecutionError(f"the device refused {text.split(' ')[0]!r}: {errors[0]}")
        return lines

    def load(self, content: bytes) -> None:
        """Send the input of the next inferences."""
        self.command(f"db load {len(content)}")
        for at in range(0, len(content), BYTES_A_LINE):
            reply = self.command(f"db {content[at : at + BYTES_A_LINE].hex()}")
        if "m-load-done" not in reply:
            raise ExecutionError(f"the device has not said that {len(content)} bytes are loaded")

    def infer(self, iterations: int, warmup: int = 0) -> Lap:
        """Time some inferences on what was loaded."""
        lines = self.command(f"infer {iterations} {warmup}", INFERENCE_S)
        laps = [int(found[1]) for line in lines if (found := re.fullmatch(r"m-lap-us-(\d+)", line))]
        scores = [f[1] for line in lines if (f := re.fullmatch(r"m-results-\[([^]]*)\]", line))]
        if len(laps) != 2 or len(scores) != 1:
            raise ExecutionError(f"the device's reply to 'infer' is not complete: {lines}")
        return Lap(iterations, (laps[1] - laps[0]) % (1 << 32), tuple(scores[0].split(",")))

    def _field(self, command: str, form: str) -> str:
        for line in self.command(command):
            found = re.fullmatch(form, line)
            if found:
                return found[1]
        raise ExecutionError(f"the device's reply to {command!r} is not MLPerf Tiny's")


def performance(
    device: Device,
    inputs: Sequence[bytes],
    windows: int = 5,
    window_s: float = 10.0,
    done: Callable[[], None] = lambda: None,
) -> list[Lap]:
    """Windows of at least `window_s` of inference each, an input loaded before each of them."""
    laps = []
    device.load(inputs[0])
    first = device.infer(1, 1)
    for number in range(windows):
        device.load(inputs[number % len(inputs)])
        iterations = max(1, -(-int(window_s * 1e6) // max(first.us, 1)))
        lap = device.infer(iterations, 1)
        while lap.us < window_s * 1e6:  # the estimate was too low
            iterations = 1 + int(iterations * 1.1 * window_s * 1e6 / max(lap.us, 1))
            lap = device.infer(iterations)
        laps.append(lap)
        done()
    return laps


def median_per_second(laps: Sequence[Lap]) -> float:
    """Median of the windows' throughputs, as the benchmark's runner takes it."""
    return statistics.median(lap.per_second for lap in laps)
