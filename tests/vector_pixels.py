"""The pixels that a job of the vector engine streams, by its data sheet, and random jobs."""

from dataclasses import dataclass

from midge.hw.commands import ADDRESS_BITS, Opcode
from midge.hw.jobs import VectorJob


@dataclass(frozen=True)
class Pixel:
    """One read: `tag` is what goes with it, of which the bits of `counts` mean something."""

    address: int
    tag: int
    counts: int
    group: int
    output: tuple[int, int] | None  # the output pixel that is made of it
    second: int  # of ADD's operands


def pixels_of(job, machine, shape):
    """All pixels, group after group."""
    groups = job.column_tiles(machine)
    for group in range(groups):
        number, ended = 0, False
        while not ended:
            output = output_of(job, number)
            ended = output == (job.output_h - 1, job.output_w - 1)
            for second in range(1 + (job.opcode == Opcode.ADD)):
                final = group == groups - 1
                yield _pixel(job, machine, shape, group, number, output, second, ended, final)
            number += 1


def output_of(job, number):
    """The output pixel that the streamed pixel of this number completes, or None."""
    row, column = divmod(number - job.delay, job.row_pixels)
    if number < job.delay or row % job.stride_h or column % job.stride_w:
        return None
    row, column = row // job.stride_h, column // job.stride_w
    return (row, column) if row < job.output_h and column < job.output_w else None


def _pixel(job, machine, shape, group, number, output, second, ended, final):
    line, place = divmod(number, job.row_pixels)
    row = job.first_row + line
    offset = group * machine.columns
    address = job.first_address + line * job.row_bytes + place * job.input_c + offset
    if second:
        address = job.second_address + number * job.input_c
    fields = {
        "place": place % machine.line_pixels, "inside": int(0 <= row < job.input_h),
        "has_above": (line > 0) + 2 * (line > 1), "starts": int(number == 0), "second": second,
        "emit": int(output is not None),
    }  # fmt: skip
    counts = {"place": machine.line_pixels - 1, "inside": 1, "has_above": 3, "starts": 1,
              "second": 1, "emit": 1}  # fmt: skip
    if output is not None:
        columns = [job.first_position + output[1] * job.stride_w + tap for tap in range(3)]
        inside = sum((0 <= column < job.input_w) << tap for tap, column in enumerate(columns))
        tag = {
            "pixel": (output[0] * job.output_w + output[1]) % machine.accumulators,
            "parameters": job.parameter_address + group, "first": job.first, "last": job.last,
            "end": int(ended), "final": int(final),
        }  # fmt: skip
        fields |= {"columns": inside, "tag": tag}
        every = {"pixel": machine.accumulators - 1, "parameters": machine.parameter_tiles - 1,
                 "first": 1, "last": 1, "end": 1, "final": 1}  # fmt: skip
        counts |= {"columns": 7, "tag": every}
    return Pixel(
        address % (1 << ADDRESS_BITS), shape.const(fields).as_bits(),
        shape.const(counts).as_bits(), group, output, second,
    )  # fmt: skip


def draw_vector_job(rng, opcode, machine):
    """A random job in the middle of the scratchpad, of two groups of channels and more."""
    channels = int(rng.integers(machine.columns + 1, 3 * machine.columns))
    height, width = int(rng.integers(3, 6)), int(rng.integers(3, 6))
    size = height * width * channels
    fields = {
        "opcode": opcode, "input_address": 300, "output_address": 300 + 2 * size,
        "weight_address": 0, "parameter_address": int(rng.integers(2)), "input_h": height,
        "input_w": width, "input_c": channels, "output_c": channels, "output_pitch": channels,
        "output_h": 1, "output_w": 1, "row_pixels": width, "input_zero_point": -128,
    }  # fmt: skip
    if opcode == Opcode.POOL:
        fields |= {"delay": height * width - 1}
    elif opcode == Opcode.ADD:
        # Any vectors of `columns` bytes, one pixel after the other.
        fields |= {
            "input_h": 1, "input_w": 7, "input_c": machine.columns, "output_c": machine.columns,
            "output_pitch": machine.columns, "output_w": 7, "row_pixels": 7, "second_address": 900,
            "a_multiplier": -(1 << 30), "a_offset": 128, "a_right": 20,  # half of them are ties
            "b_multiplier": -int(rng.integers(1 << 30, 1 << 31)), "b_offset": -127, "b_right": 0,
        }  # fmt: skip
    else:
        stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        first_row, first_column = (-int(n) for n in rng.integers(0, 2, 2))
        outputs = int(rng.integers(2, 4)), int(rng.integers(2, 4))
        row_pixels = (outputs[1] - 1) * stride[1] + 3
        fields |= {
            "stride_h": stride[0], "stride_w": stride[1], "first_row": first_row,
            "first_column": first_column, "first_position": first_column,
            "output_h": outputs[0], "output_w": outputs[1], "row_pixels": row_pixels,
            "delay": 2 * row_pixels + 2,
        }  # fmt: skip
        if opcode == Opcode.SUM:
            fields["input_zero_point"] = int(rng.integers(-128, 128))
    return VectorJob(**fields)
