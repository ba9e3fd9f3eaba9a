"""Stretches by queue and DMA: slow memory, errors, a hung engine; always the same answer."""

from dataclasses import replace

import numpy as np
import pytest

from midge.hw.commands import Transfer
from midge.hw.machine import Machine, Register
from midge.runtime.errors import ExecutionError, InputError


@pytest.fixture
def board(accelerators):
    accelerator = accelerators(Machine())
    yield accelerator
    accelerator.board.disturb(24, 0)


def run(board, stretch):
    made, x, expected = stretch
    (answer,) = board.queue.run(made, [x])
    np.testing.assert_array_equal(answer, expected.reshape(-1))
    return board.queue.counters


@pytest.mark.parametrize("stall", [0, 60, 200])
@pytest.mark.parametrize("latency", [1, 24, 200])
def test_slow_memory(board, stretch, latency, stall):
    board.board.disturb(latency, stall)
    first = run(board, stretch)
    second = run(board, stretch)
    assert first.busy == second.busy > 0
    assert board.board.outside == 0
    assert second.cycles >= second.busy + second.memory_stalls


def test_counters_of_an_undisturbed_run(board, stretch):
    assert run(board, stretch) == run(board, stretch)


def test_slow_memory_costs_memory_stalls(board, stretch):
    quick = run(board, stretch)
    board.board.disturb(400, 0)
    assert run(board, stretch).memory_stalls > quick.memory_stalls + 800


def test_memory_error_is_told(board, stretch):
    made, x, _ = stretch
    run(board, stretch)
    prepared = board.queue._prepare(made)
    words = prepared.commands.array
    assert words[0] == Transfer.READ
    good, words[1] = words[1], 0x4000_0000  # outside the memory
    with pytest.raises(ExecutionError, match="the accelerator got an error from memory: status"):
        board.queue.run(made, [x])
    words[1] = good
    run(board, stretch)


def test_unknown_command_is_told(board, stretch):
    made, x, _ = stretch
    run(board, stretch)
    words = board.queue._prepare(made).commands.array
    good, words[4] = words[4], 99
    with pytest.raises(ExecutionError, match=r"refused a command: .* command words fetched"):
        board.queue.run(made, [x])
    words[4] = good
    run(board, stretch)


def test_hung_queue_ends_in_time(board, stretch):
    """The queue's end is never reached: an error within the limit, and a board that goes on."""
    made, x, _ = stretch
    run(board, stretch)
    prepared = board.queue._prepare(made)
    words = prepared.commands.array
    good, words[-1] = words[-1], Transfer.WAIT
    before = board.board.cycles
    with pytest.raises(ExecutionError, match=f"did not finish in {made.cycle_limit} cycles"):
        board.queue.run(made, [x])
    assert board.board.cycles - before < 2 * made.cycle_limit + 1000
    words[-1] = good
    run(board, stretch)


def test_wrong_input_is_refused(board, stretch):
    with pytest.raises(InputError, match="takes int8 of 315 elements here, not int8 of 9"):
        board.queue.run(stretch[0], [np.zeros(9, np.int8)])


def test_foreign_machine_is_refused(board, stretch):
    other = replace(stretch[0], machine=Machine(rows=4))
    with pytest.raises(ExecutionError, match=r"the network was compiled for Machine.rows=4"):
        board.queue.run(other, [stretch[1]])


def test_reset_amid_a_run(board, stretch):
    """The bus finishes what it has begun; the next run is right."""
    made, _, _ = stretch
    run(board, stretch)
    commands = board.queue._prepare(made).commands
    for cycles in (3, 40, 90, 150, 400):
        board.board.write(Register.INTERRUPT, 7)
        board.board.write(Register.QUEUE_HEAD, commands.address)
        board.board.write(Register.QUEUE_TAIL, commands.address + 4 * commands.array.size)
        board.board.step(cycles)
        board.board.write(Register.CONTROL, 1)
        board.board.step(200)
        assert board.board.read(Register.QUEUE_STATUS) & 3 == 0
        run(board, stretch)
