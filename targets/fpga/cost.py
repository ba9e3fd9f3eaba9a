"""What jobs and whole stretches of them cost, in clock cycles."""

from __future__ import annotations

from ...hw.commands import Opcode
from ...hw.jobs import Job, VectorJob
from ...hw.machine import CHAIN, Machine
from ...hw.queue import ALIGNMENT, Stretch

# Start, first tile, first weights, scratchpad, accumulator and requantizer: the depth of the
# pipeline beside the array itself.
_PIPELINE_CYCLES = 16
_VECTOR_PIPELINE_CYCLES = {
    Opcode.SUM: 18, Opcode.MAX: 18, Opcode.POOL: 14, Opcode.ADD: 18
}  # fmt: skip


# From the start to the first job but for the input's words, and from the last word of the output to
# the interrupt, with memory that answers after 24 cycles.
_RUN_CYCLES = 113
_BETWEEN_JOBS = 2


def estimate_run(stretch: Stretch) -> int:
    """Cycles from the start to the interrupt, weights on the chip: inputs come a word a cycle,
    outputs leave a word in four, each burst with an address and an answer."""
    burst = ALIGNMENT // 4
    moved = sum(place.words for place in stretch.inputs)
    moved += sum(4 * place.words + 3 * -(-place.words // burst) for place in stretch.outputs)
    jobs = sum(_BETWEEN_JOBS + estimate_cycles(job, stretch.machine) for job in stretch.jobs)
    return _RUN_CYCLES + moved + jobs


def estimate_cycles(job: Job | VectorJob, machine: Machine) -> int:
    """Cycles from the job's start to its last output, exact on an undisturbed run."""
    if isinstance(job, VectorJob):
        return _vector_cycles(job, machine)
    return _array_cycles(job, machine)


def _array_cycles(job: Job, machine: Machine) -> int:
    """A tile takes a cycle for each output pixel, or the time to load the next tile's weights."""
    tiles = job.column_tiles(machine) * job.depth_tiles(machine)
    between = max(job.pixels, CHAIN)
    depth = CHAIN + (machine.chains - 1).bit_length() + (machine.columns - 1) // 2
    return _PIPELINE_CYCLES + depth + (tiles - 1) * between + job.pixels


def _vector_cycles(job: VectorJob, machine: Machine) -> int:
    """A cycle for each pixel that is streamed, two for ADD; between groups of channels the weights
    are loaded."""
    rows = (job.output_h - 1) * job.stride_h * job.row_pixels
    streamed = job.delay + rows + (job.output_w - 1) * job.stride_w + 1
    groups = job.column_tiles(machine)
    if job.opcode == Opcode.ADD:
        streamed *= 2
    between = 1
    if job.needs_weights:
        between = 3 + max(0, machine.tap_words - 4)
    drain = _VECTOR_PIPELINE_CYCLES[Opcode(job.opcode)] + (machine.columns - 1) // 2
    if job.needs_weights:
        drain += max(0, machine.tap_words - 4)
    if not job.last:
        drain -= 11 + (machine.columns - 1) // 2
    return groups * streamed + (groups - 1) * between + drain
