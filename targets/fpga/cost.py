"""What a job costs, in clock cycles."""

from __future__ import annotations

from ...hw.commands import JOB_WORDS, Job
from ...hw.machine import Machine

# Start, first tile, first weights, scratchpad, accumulator and requantizer: the depth of the
# pipeline beside the command words and the array itself.
_PIPELINE_CYCLES = 14


def estimate_cycles(job: Job, machine: Machine) -> int:
    """Cycles from the job's first command word to its last output, exact on an undisturbed run.

    A tile takes a cycle for each output pixel, or the time to load the next tile's weights if
    that is longer. Each read of activations by the host during the job adds a cycle at most.
    """
    tiles = job.column_tiles(machine) * job.depth_tiles(machine)
    between = max(job.pixels, machine.rows)
    overhead = JOB_WORDS + machine.rows + machine.columns + _PIPELINE_CYCLES
    return overhead + (tiles - 1) * between + job.pixels
