"""A microcontroller's serial line: frames, damage, silence; its head's bits over a gateway."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.errors import ExecutionError, TargetError, ToolError
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.sim.qemu import serial_board
from midge.sim.serial_line import SerialLine
from midge.targets.boards import find_board
from midge.targets.cortex_m.edge import Patience, build_edge_image
from midge.targets.split.client import EdgeClient
from midge.targets.split.cut import Cut, cut_at
from midge.targets.split.gateway import Gateway
from midge.targets.split.server import ModelServer
from midge.targets.split.uplink import DATA_BYTES, DONE, INPUT, RUN, Frame, Uplink
from midge.tools.cli import parse_and_run
from midge.tools.zoo import OWN

DIGITS = OWN / "digits.tflite"
BOARD = find_board("mps2-an386")
LONG = 60.0  # seconds: only a hang takes as long


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=192))
def test_frames_come_back(kind: int, number: int, offset: int, data: bytes) -> None:
    frame = Frame(kind, number, offset, data)
    stuffed = frame.to_bytes()
    assert stuffed[0] == stuffed[-1] == 0
    assert 0 not in stuffed[1:-1]
    assert Frame.of(stuffed[1:-1]) == frame


@settings(max_examples=300)
@given(st.binary(max_size=40), st.data())
def test_damaged_frames_are_seen(content: bytes, data: st.DataObject) -> None:
    stuffed = bytearray(Frame(INPUT, 7, 3, content).to_bytes()[1:-1])
    at = data.draw(st.integers(0, len(stuffed) - 1))
    stuffed[at] ^= data.draw(st.integers(1, 255))
    assert Frame.of(bytes(stuffed).partition(b"\0")[0]) is None
    assert Frame.of(bytes(stuffed[:at])) is None
    assert Frame.of(content) is None or len(content) >= 10


class Noisy:
    """A line that changes, loses and adds bytes in both directions, by a seed."""

    def __init__(self, line: SerialLine, rate: float, seed: int = 0) -> None:
        self.path, self._line, self._rate = line.path, line, rate
        self._noise, self.spoilt = random.Random(seed), 0

    def write(self, content: bytes, timeout_s: float = LONG) -> None:
        self._line.write(self._spoil(content), timeout_s)

    def read_some(self, timeout_s: float) -> bytes:
        """Nothing means that the time is up, not that the only byte was lost."""
        while came := self._line.read_some(timeout_s):
            if made := self._spoil(came):
                return made
        return b""

    def _spoil(self, content: bytes) -> bytes:
        made = bytearray()
        for byte in content:
            if self._noise.random() >= self._rate:
                made.append(byte)
                continue
            self.spoilt += 1
            made += self._noise.choice((b"", bytes([byte ^ 0x24]), bytes([byte, 0x55]), b"\0"))
        return bytes(made)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return rewrite(read_model(DIGITS), Options())


@pytest.fixture(scope="module")
def cut(graph: Graph) -> Cut:
    return cut_at(graph, 6)


@pytest.fixture(scope="module")
def elf(graph: Graph, cut: Cut, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head's firmware; it is patient for a fifth of a second, thirty times."""
    head = replace(compile_graph(cut.head, BOARD.target), name="head")
    folder = tmp_path_factory.mktemp("edge")
    patience = Patience(acknowledge_us=200_000, tries=30)
    try:
        return build_edge_image(head, 10, BOARD, folder, patience).elf
    except ToolError as error:
        pytest.skip(str(error))


@contextmanager
def board(elf: Path) -> Iterator[SerialLine]:
    emulator = BOARD.emulator
    assert emulator is not None
    try:
        context = serial_board(elf, emulator.program, emulator.machine, emulator.arguments)
        with context as (port, _), SerialLine(port) as line:
            yield line
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(graph: Graph) -> Iterator[ModelServer]:
    served = ModelServer(graph, "digits")
    served.start()
    yield served
    served.stop()


def images() -> list[np.ndarray]:
    every = np.load(OWN / "digits_inputs.npy")
    return [every[i][None] for i in range(3)]


def test_the_head_on_a_board_and_the_tail_at_a_server(
    graph: Graph, cut: Cut, elf: Path, server: ModelServer
) -> None:
    local = find_backend("host").build(compile_graph(graph))
    with board(elf) as line:
        gateway = Gateway(Uplink(line), graph, cut, EdgeClient(server.address, "digits", LONG))
        gateway.greet()
        for x in images():
            told = gateway.run([x])
            assert told.status == "ok"
            np.testing.assert_array_equal(told.outputs[0], local.run([x])[0])


def test_damage_on_the_line_costs_time_and_no_bit(
    graph: Graph, cut: Cut, elf: Path, server: ModelServer
) -> None:
    local = find_backend("host").build(compile_graph(graph))
    with board(elf) as line:
        noisy = Noisy(line, rate=0.0005)
        uplink = Uplink(noisy, wait_s=0.3, tries=200)
        gateway = Gateway(uplink, graph, cut, EdgeClient(server.address, "digits", LONG))
        gateway.greet()
        for number in range(4):
            x = images()[number % 3]
            told = gateway.run([x])
            assert told.status == "ok"
            np.testing.assert_array_equal(told.outputs[0], local.run([x])[0])
        assert noisy.spoilt > 0
        assert uplink.sent_again + uplink.asked_again > 0


def test_a_gateway_that_falls_silent_ends_in_a_status(graph: Graph, cut: Cut, elf: Path) -> None:
    """The firmware gives up by itself, says so, and answers the next gateway."""
    with board(elf) as line:
        uplink = Uplink(line)
        uplink.send_all(INPUT, images()[0].tobytes())
        uplink.send(RUN)
        heard = bytearray()
        done = None
        while done is None:  # nothing that it sends is acknowledged
            some = line.read_some(LONG)
            assert some, "the firmware hangs"
            heard += some
            frames = (Frame.of(bytes(piece)) for piece in heard.split(b"\0") if piece)
            done = next((f for f in frames if f is not None and f.type == DONE), None)
        assert done.data == bytes([1, 0, 0, 0, 0])  # UPLINK_DEAD, and no answer
        gateway = Gateway(Uplink(line), graph, cut, EdgeClient("127.0.0.1:9", "digits", LONG))
        gateway.greet()
        told = gateway.run([images()[0]])
        assert told.status == "refused by the gateway"
        assert "did not answer (unavailable" in told.why


def test_another_cut_is_refused(graph: Graph, elf: Path, server: ModelServer) -> None:
    with board(elf) as line:
        client = EdgeClient(server.address, "digits", LONG)
        with pytest.raises(TargetError, match="program it with `midge split firmware` for this"):
            Gateway(Uplink(line), graph, cut_at(graph, 3), client).greet()
        client.close()


def test_a_dead_line_is_said() -> None:
    class Dead:
        path = "/dev/ttyX"

        def write(self, content: bytes, timeout_s: float = 5.0) -> None: ...

        def read_some(self, timeout_s: float) -> bytes:
            return b""

    with pytest.raises(ExecutionError, match=r"acknowledged nothing in 0\.03 s; is it"):
        Uplink(Dead(), wait_s=0.01, tries=3).send(RUN)


def test_cuts_without_a_far_side_are_refused(graph: Graph) -> None:
    client = EdgeClient("127.0.0.1:9", "digits")
    with pytest.raises(TargetError, match="leaves something to the server"):
        Gateway(None, graph, cut_at(graph, 14), client)  # type: ignore[arg-type]
    client.close()


def test_the_verbs(tmp_path: Path) -> None:
    model, folder = [str(DIGITS), "--cut", "1"], tmp_path / "head"
    try:
        made = parse_and_run(
            ["split", "firmware", *model, "--board", "nucleo-l4r5zi", "-o", str(folder)]
        )
        told = parse_and_run(
            ["split", "gateway", *model, "--qemu", "--runs", "2", "--deadline", "60"]
        )
    except ToolError as error:
        pytest.skip(str(error))
    assert {Path(path).suffix for path in made["files"]} >= {".elf", ".bin", ".hex"}
    assert [run["status"] for run in told["runs"]] == ["ok", "ok"]
    assert all(run["equal_to_host"] for run in told["runs"])
    assert told["bytes"] == made["bytes"] > DATA_BYTES
