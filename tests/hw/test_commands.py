"""Command words: what is encoded comes back, and what can't be is refused in one sentence."""

from dataclasses import replace

import numpy as np
import pytest

from midge.hw.commands import JOB_WORDS, LAYOUT, VECTOR_LAYOUT, Opcode
from midge.hw.jobs import Job, VectorJob, decode_job
from midge.hw.machine import Machine
from midge.runtime.errors import TargetError

JOB = Job(
    input_address=16, output_address=1024, weight_address=3, parameter_address=2,
    input_h=9, input_w=7, input_c=5, output_h=4, output_w=3, output_c=11, output_pitch=12,
    kernel_h=3, kernel_w=2, stride_h=2, stride_w=3, dilation_h=1, dilation_w=2,
    padding_top=-1, padding_left=2, input_zero_point=-128, output_zero_point=127,
    minimum=-5, maximum=6,
)  # fmt: skip


def test_words_come_back():
    words = JOB.encode()
    assert len(words) == JOB_WORDS
    assert all(0 <= word < 1 << 32 for word in words)
    assert Job.decode(words) == JOB


def test_numpy_integers_are_taken():
    job = replace(JOB, input_zero_point=np.int8(-128), output_w=np.int64(3))
    assert job.encode() == JOB.encode()


def test_every_bit_of_the_layout_has_one_owner():
    for layout in (LAYOUT, VECTOR_LAYOUT):
        names = [field.name for word in layout for field in word]
        assert len(set(names)) == len(names)
        assert all(sum(field.bits for field in word) <= 32 for word in layout)


VECTOR = VectorJob(
    input_address=1, output_address=2, weight_address=3, parameter_address=4, input_h=5, input_w=6,
    input_c=7, output_h=4, output_w=3, output_c=2, output_pitch=2, opcode=Opcode.ADD, first=0,
    last=1, first_row=-1, first_column=-2, delay=9, a_multiplier=-0x7FFF_FFFF, b_right=31,
    a_offset=-127,
)  # fmt: skip


def test_vector_words_come_back():
    assert decode_job(VECTOR.encode()) == VECTOR
    assert decode_job(JOB.encode()) == JOB
    assert VECTOR.first_address == 1 - 42 - 14


def test_common_words_lie_at_the_same_place():
    """Writer, lanes and sequencer read them whatever the opcode is."""
    assert LAYOUT[:9] == VECTOR_LAYOUT[:9]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opcode": Opcode.SUM, "row_pixels": 500}, "500 pixels of a line buffer; the accelerator"),
        ({"last": 0, "opcode": Opcode.SUM, "output_h": 500}, "1500 accumulators; the accelerator"),
        ({"opcode": Opcode.SUM, "weight_address": 8190}, "8195 weight words; the accelerator has"),
    ],
)
def test_vector_job_must_fit_the_machine(changes, message):
    VECTOR.check(Machine())
    with pytest.raises(TargetError) as caught:
        replace(VECTOR, **changes).check(Machine())
    assert str(caught.value).startswith("a job needs " + message)


def test_derived_steps():
    assert JOB.row_bytes == 35
    assert (JOB.row_step, JOB.column_step, JOB.tap_step) == (70, 15, 35)
    assert (JOB.segments, JOB.segment_bytes, JOB.segment_step) == (2, 5, 10)
    assert (JOB.first_position, JOB.first_row_address) == (-10, 16 + 35)
    plain = replace(JOB, dilation_w=1)
    assert (plain.segments, plain.segment_bytes) == (1, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_h": 0}, "a job's input_h must be at least 1, not 0"),
        ({"kernel_w": 256}, "a job's kernel_w must be 0 to 255, not 256"),
        ({"input_address": -1}, "a job's input_address must be at least 0, not -1"),
        ({"input_zero_point": 128}, "a job's input_zero_point must be -128 to 127, not 128"),
        ({"input_w": 60000, "input_c": 9}, "a job's row_bytes must be 0 to 524287, not 540000"),
        ({"minimum": 7}, "a job's clamp is empty: 7 to 6"),
        ({"output_pitch": 10}, "a job's output_pitch must hold its 11 channels, not 10"),
        ({"output_h": 65535, "stride_h": 200}, "a job's window must end before row 131072, not "),
        ({"output_w": 65535}, "a job's window must end before byte 524288 of a row, not "),
    ],
)
def test_limits(changes, message):
    with pytest.raises(TargetError) as caught:
        replace(JOB, **changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_address": 65300}, "65615 activation bytes for its input; the accelerator has"),
        ({"output_address": 65500}, "65643 activation bytes for its output; the accelerator"),
        ({"weight_address": 8150}, "8198 weight words; the accelerator has 8192"),
        ({"output_h": 400}, "1200 accumulators; the accelerator has 1024"),
        ({"parameter_address": 255}, "257 parameter tiles; the accelerator has 256"),
    ],
)
def test_job_must_fit_the_machine(changes, message):
    JOB.check(Machine())
    with pytest.raises(TargetError) as caught:
        replace(JOB, **changes).check(Machine())
    assert str(caught.value).startswith("a job needs " + message)


def test_foreign_words_are_refused():
    with pytest.raises(TargetError, match=f"a job has {JOB_WORDS} command words, not 3"):
        Job.decode([1, 2, 3])
    words = JOB.encode()
    with pytest.raises(TargetError, match="must have opcode 1 to 7 of version 3, not 9 of 3"):
        decode_job([words[0] + 8, *words[1:]])
    with pytest.raises(TargetError, match="a job's segment_bytes must be 5 for its geometry"):
        Job.decode([*words[:18], words[18] + 1, *words[19:]])


def test_machine_words_come_back():
    machine = Machine(rows=12, columns=5, accumulators=64)
    assert Machine.from_words(machine.to_words()) == machine


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"rows": 6}, "the rows of an accelerator must be a multiple of 4, not 6"),
        ({"columns": 3, "packed": 1}, "packed columns come in pairs, and 3 is odd"),
        ({"columns": 0}, "columns must be at least 1, not 0"),
        ({"accumulators": 100}, "accumulators must be a power of two, not 100"),
        ({"weight_words": 1 << 17}, "weight_words takes 2097152 bytes of an address region"),
    ],
)
def test_machine_limits(sizes, message):
    with pytest.raises(TargetError) as caught:
        Machine(**sizes)
    assert str(caught.value).startswith(message)
