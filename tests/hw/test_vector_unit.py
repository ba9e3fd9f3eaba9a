"""The vector unit and its lanes against sums over windows, by operation, with idle cycles."""

import numpy as np
import pytest
from hw_blocks import SMALL, bits, job_bits, number
from vector_pixels import draw_vector_job, pixels_of

from midge.hw.commands import Opcode
from midge.hw.machine import CHAIN, TAPS
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier


def windows_of(job, x, fill):
    """[output row, output column, 3, 3, channel] of an image, `fill` outside."""
    far = 8
    padded = np.pad(x.astype(np.int64), ((far, far), (far, far), (0, 0)), constant_values=fill)
    rows, columns = far + job.first_row, far + job.first_position
    return np.array([
        [padded[rows + y * job.stride_h :, columns + z * job.stride_w :][:3, :3]
         for z in range(job.output_w)] for y in range(job.output_h)
    ])  # fmt: skip


def results_of(job, memory, weights):
    """[output row, output column, channel]: the sums, by NumPy."""
    size = job.input_h * job.input_w * job.input_c
    x = memory[job.input_address :][:size].view(np.int8)
    x = x.reshape(job.input_h, job.input_w, job.input_c)
    if job.opcode == Opcode.SUM:
        return (windows_of(job, x, job.input_zero_point) * weights).sum(axis=(2, 3))
    if job.opcode == Opcode.MAX:
        taken = np.where(weights[0, :, 0] != 0)[0]
        rows = np.where(weights[:, 0, 0] != 0)[0]
        return windows_of(job, x, -128)[:, :, rows][:, :, :, taken].max(axis=(2, 3))
    if job.opcode == Opcode.POOL:
        return x.astype(np.int64).sum(axis=(0, 1), keepdims=True) << 12
    second = memory[job.second_address :][: x.size].view(np.int8).reshape(x.shape)
    total = 0
    for values, side in ((x, "a"), (second, "b")):
        offset, multiplier, right = (
            getattr(job, f"{side}_{name}") for name in ("offset", "multiplier", "right")
        )
        scaled = (values.astype(np.int64) + offset) << 20
        total = total + multiply_by_quantized_multiplier(scaled, multiplier, -right).astype(int)
    return total


def draw_weights(rng, job):
    """[3, 3, channel]; for MAX 1 in the rows and columns that count."""
    if job.opcode != Opcode.MAX:
        return rng.integers(-128, 128, (3, 3, job.output_c))
    weights = np.zeros((3, 3, job.output_c), int)
    weights[: rng.integers(1, 4), : rng.integers(1, 4)] = 1
    return weights


def load(rows, cycle, unit, weights, group):
    """Weight words with the taps of a group, as `WeightLoader` sends them; the next free cycle."""
    columns, shape = SMALL.columns, unit.words.p.shape()
    part = weights.reshape(TAPS, -1)[:, group * columns :][:, :columns]
    taps = np.zeros((SMALL.tap_words * SMALL.chains, columns), int)
    taps[:TAPS, : part.shape[1]] = part
    for word, values in enumerate(taps.reshape(SMALL.tap_words, -1)):
        made = shape.const({"values": values.tolist(), "row": word}).as_bits()
        rows[cycle + word] = {"words__valid": 1, "words__payload": made}
    return cycle + SMALL.tap_words


@pytest.mark.parametrize(
    "opcode", [Opcode.SUM, Opcode.MAX, Opcode.POOL, Opcode.ADD], ids=lambda opcode: opcode.name
)
def test_sums_come_in_time(play, opcode):
    """A job twice, pixel after pixel and with idle cycles; each sum in the cycle of its latency."""
    from midge.hw.vector import VectorUnit
    from midge.hw.vector_lane import VectorLane

    rng = np.random.default_rng(40 + opcode)
    job = draw_vector_job(rng, opcode, SMALL)
    unit = VectorUnit(SMALL)
    columns, shape = SMALL.columns, unit.sums.p.shape()
    memory = rng.integers(0, 256, SMALL.activation_bytes).astype(np.uint8)
    weights = draw_weights(rng, job)
    answers = results_of(job, memory, weights)
    rows, results, cycles, cycle = {}, [], [], 1
    for idle in (0.0, 0.6):
        group = -1
        for pixel in pixels_of(job, SMALL, unit.pixels.p.shape()):
            if pixel.group != group:
                group, cycle = pixel.group, load(rows, cycle + CHAIN, unit, weights, pixel.group)
            while rng.random() < idle:
                cycle += 1
            at = (pixel.address + np.arange(columns)) % len(memory)
            rows[cycle] = {"pixels__valid": 1, "pixels__payload": pixel.tag,
                           "data": number(memory[at])}  # fmt: skip
            if pixel.output is not None and pixel.second == (opcode == Opcode.ADD):
                sums = answers[pixel.output][group * columns :][:columns]
                made = {"sums": [*sums.tolist(), *[0] * (columns - len(sums))]}
                tag = unit.pixels.p.shape().from_bits(pixel.tag)["tag"]
                word = shape.const({**made, "tag": tag}).as_bits()
                every = bits(shape["tag"].shape, **dict.fromkeys(shape["tag"].shape.members, -1))
                counts = (every << shape["tag"].offset) | (1 << 32 * len(sums)) - 1
                results.append({"sums__payload": (word, counts)})
                cycles.append(cycle + VectorLane.LATENCY[opcode])
            cycle += 1
        cycle += 8
    rows[cycle + 8] = {}
    for at in range(cycle + 9):
        rows[at] = rows.get(at, {}) | {"job": job_bits(job)}
    assert results
    play(unit, rows, "sums__valid", results, cycles)
