"""Single blocks under Icarus, with idle cycles and back-pressure, against plain arithmetic."""

import numpy as np
import pytest
from hw_blocks import ALL, SMALL, bits

from midge.hw.commands import Opcode
from midge.hw.machine import CHAIN, Machine
from midge.kernels.fixedpoint import multiply_by_quantized_multiplier


def test_scratchpad(play):
    """Random reads and writes at any byte address, in the same cycles."""
    from midge.hw.scratchpad import Scratchpad

    rng, size, width = np.random.default_rng(1), 64, 8
    memory, rows, seen = np.zeros(size, np.uint8), {}, []
    late = memory.copy()  # a cycle
    for cycle in range(300):
        read, write, mask = rng.integers(size), rng.integers(size), rng.integers(1 << width)
        values = rng.integers(0, 256, width).astype(np.uint8)
        rows[cycle] = {
            "read__address": read, "write__address": write, "write__mask": mask,
            "write__data": int.from_bytes(values.tobytes(), "little"),
        }  # fmt: skip
        place = (read + np.arange(width)) % size
        content, settled = memory[place], np.where(memory[place] == late[place], 255, 0)
        value, counts = (
            int.from_bytes(part.astype(np.uint8).tobytes(), "little") for part in (content, settled)
        )
        seen.append({"read__data": (value, counts)})
        late = memory.copy()
        for byte in range(width):
            if mask >> byte & 1:
                memory[(write + byte) % size] = values[byte]
    nothing = {"read__data": (0, 0)}
    play(Scratchpad(size, width), rows, None, [nothing, nothing, *seen[:-2]])


def test_lane(play):
    """Sums of several passes, with idle cycles between them; parameters of two groups."""
    from midge.hw.lane import RESULT, Lane
    from midge.hw.layouts import PARAMETERS

    rng, pixels, passes = np.random.default_rng(2), 6, 3
    lane = Lane(SMALL)
    payload = lane.sums.payload.shape()
    settings = {"settings__zero_point": 5, "settings__minimum": 0x100 - 100,
                "settings__maximum": 90}  # fmt: skip
    rows, results, cycles, cycle = {}, [], [], 0
    for group in range(2):
        bias, multiplier, shift = -700 * group, (1 << 30) + 12345, -8 - group
        rows[cycle] = {
            "write_enable": 1, "write_address": group,
            "write_data": bits(PARAMETERS, bias=bias, multiplier=multiplier, shift=shift),
        }  # fmt: skip
        totals = np.full(pixels, bias)
        cycle += 2
        for number in range(passes):
            for pixel in range(pixels):
                cycle += int(rng.integers(0, 3))
                value = int(rng.integers(-20000, 20000))
                totals[pixel] += value
                last, end = number == passes - 1, pixel == pixels - 1
                tag = {"pixel": pixel, "parameters": group, "first": int(number == 0),
                       "last": int(last), "end": int(end), "final": group}  # fmt: skip
                word = payload.const({"sum": value, "tag": tag}).as_bits()
                rows[cycle] = {"sums__valid": 1, "sums__payload": word}
                if last:
                    scaled = multiply_by_quantized_multiplier(
                        np.int32(totals[pixel]), multiplier, shift
                    )
                    wanted = int(np.clip(int(scaled) + 5, -100, 90))
                    made = bits(RESULT, value=wanted, end=end, final=group)
                    results.append({"results__payload": (made, ALL)})
                    cycles.append(cycle + Lane.LATENCY)
                cycle += 1
    for at in range(cycle + Lane.LATENCY + 2):
        rows[at] = rows.get(at, {}) | settings
    play(lane, rows, "results__valid", results, cycles)


def test_writer(play):
    """Two groups of columns of seven channels; the bytes beside them are not written."""
    from midge.hw.array import column_delay
    from midge.hw.lane import RESULT
    from midge.hw.layouts import JOB
    from midge.hw.writer import OutputWriter

    rng, channels, pixels, pitch, base = np.random.default_rng(3), 7, 4, 9, 100
    job = bits(JOB, opcode=Opcode.CONV2D, output_address=base, output_c=channels,
               output_pitch=pitch)  # fmt: skip
    late = column_delay(SMALL.columns - 1)
    rows, results, cycles, cycle = {0: {"start": 1}}, [], [], 2
    for group in range(2):
        present = min(SMALL.columns, channels - group * SMALL.columns)
        for pixel in range(pixels):
            cycle += int(rng.integers(1, 4))
            values = rng.integers(-128, 128, SMALL.columns)
            end = int(pixel == pixels - 1)
            for column, value in enumerate(values):
                row = rows.setdefault(cycle + column_delay(column), {})
                row[f"results__{column}__valid"] = 1
                row[f"results__{column}__payload"] = bits(RESULT, value=value, end=end, final=group)
            data = int.from_bytes(values.astype(np.int8).tobytes(), "little")
            results.append({
                "write__address": (base + pixel * pitch + group * SMALL.columns, ALL),
                "write__mask": ((1 << present) - 1, ALL),
                "write__data": (data, (1 << 8 * present) - 1),
                "done": (end & group, ALL),
            })  # fmt: skip
            cycles.append(cycle + late)
    for at in range(cycle + late + 3):
        rows[at] = rows.get(at, {}) | {"job": job}
    play(OutputWriter(SMALL), rows, "write__mask", results, cycles)


@pytest.mark.parametrize("technology", ["generic", "ecp5"])
def test_weights(play, technology):
    """Tiles follow when they are asked for, early or late."""
    from midge.hw.weights import WeightLoader

    rng, tiles, start = np.random.default_rng(4), 5, 8
    loader = WeightLoader(SMALL, technology)
    payload = loader.words.payload.shape()
    content = rng.integers(-128, 128, (SMALL.weight_words, SMALL.weight_word_values))
    pieces = np.zeros((SMALL.weight_words, SMALL.weight_word_bytes), np.int8)
    pieces[:, : SMALL.weight_word_values] = content
    rows, cycle = {0: {"taps": 0}}, 0
    for address, piece in enumerate(pieces.view("<u4").reshape(-1)):
        cycle += 1 + int(rng.integers(0, 4) == 0)
        rows[cycle] = {"write__enable": 1, "write__address": address, "write__data": int(piece)}
    cycle += 2
    rows[cycle] = {"start": 1, "address": start}
    for _ in range(1, tiles):
        cycle += CHAIN + int(rng.integers(0, 6))
        rows[cycle] = {"more": 1, "taken": 1}
    rows[cycle + 2 * CHAIN + 4] = {}
    results = []
    for word in range(tiles * CHAIN):
        values = {"values": content[start + word].tolist(), "row": word % CHAIN}
        results.append({"words__payload": (payload.const(values).as_bits(), ALL)})
    play(loader, rows, "words__valid", results)


@pytest.mark.parametrize("seed", [0, 1])
def test_tiles(play, layers, seed):
    """The tiles of a random convolution in their order, taken when there is room."""
    from midge.hw.im2col import TileWalker
    from midge.hw.layouts import JOB

    rng = np.random.default_rng(10 + seed)
    layer = layers(rng, shape=(6, 5, 17), outputs=7, kernel=(2, 3), dilation=(1, 1 + seed),
                   stride=(1, 2), padding=(1, 0, 2, 1))  # fmt: skip
    job = layer.tiles(Machine(rows=12, columns=5))[0].job
    walker = TileWalker(SMALL)
    shape, results = walker.tiles.payload.shape(), []
    groups = job.column_tiles(SMALL)
    for group in range(groups):
        parts = [(tap, segment, first) for tap in range(job.kernel_h)
                 for segment in range(job.segments)
                 for first in range(0, job.segment_bytes, SMALL.rows)]  # fmt: skip
        for number, (tap, segment, first) in enumerate(parts):
            last = number == len(parts) - 1
            tile = {
                "row": tap * job.dilation_h - job.padding_top,
                "row_address": (job.first_row_address + tap * job.tap_step) % (1 << 20),
                "position": job.first_position + segment * job.segment_step + first,
                "bytes": min(SMALL.rows, job.segment_bytes - first),
                "first": int(number == 0), "last": int(last),
                "final": int(last and group == groups - 1),
                "parameters": job.parameter_address + group,
            }  # fmt: skip
            results.append({"tiles__payload": (shape.const(tile).as_bits(), ALL)})
    word = bits(JOB, **{name: getattr(job, name) for name in JOB.members
                        if not name.startswith("unused")})  # fmt: skip
    rows = {0: {"job": word, "start": 1}}
    for cycle in range(1, 6 * len(results) + 9):
        rows[cycle] = {"job": word, "tiles__ready": int(rng.integers(3) == 0)}
    play(walker, rows, "tiles__valid", results, waits="tiles__ready")


@pytest.mark.parametrize("registered", [False, True])
def test_multiplier(play, registered):
    """By Booth rows, as in builds without a multiplier of their own; a register is in the middle
    or, by the test, behind."""
    from amaranth.hdl import Module, signed
    from amaranth.lib import wiring
    from amaranth.lib.wiring import In, Out

    from midge.hw.multiply import Multiplier

    class Registered(wiring.Component):
        a: In(signed(25))
        b: In(signed(8))
        product: Out(signed(33))

        def elaborate(self, platform):
            m = Module()
            m.submodules.multiplier = multiplier = Multiplier(
                signed(25), signed(8), "fabric", registered=registered
            )
            m.d.comb += [multiplier.a.eq(self.a), multiplier.b.eq(self.b)]
            domain = m.d.comb if registered else m.d.sync
            domain += self.product.eq(multiplier.product)
            return m

    rng, rows, results = np.random.default_rng(5), {}, [{"product": (0, 0)}]
    for cycle in range(300):
        a, b = int(rng.integers(-(1 << 24), 1 << 24)), int(rng.integers(-128, 128))
        if cycle < 4:
            a, b = (-(1 << 24), (1 << 24) - 1)[cycle & 1], (-128, 127)[cycle >> 1]
        rows[cycle] = {"a": a % (1 << 25), "b": b % (1 << 8)}
        results.append({"product": (a * b % (1 << 33), ALL)})
    play(Registered(), rows, None, results[:-1])


def test_lanes_of_all_technologies(simulate):
    """The vector engine's, cycle for cycle; `generic` is tested by whole layers."""
    pytest.importorskip("amaranth")
    from midge.hw.commands import JOB_WORDS
    from midge.hw.vector_lane import VectorLane

    rng, cycles, jobs = np.random.default_rng(7), 2000, 8
    job = rng.integers(0, 1 << 32, (jobs, JOB_WORDS), dtype=np.uint32)
    job[:, 0] = np.arange(jobs) % 4 + Opcode.SUM
    inputs = {"job": np.repeat(job, cycles // jobs, axis=0)}
    for name, width in (("valid", 1), ("tag", 5), ("pixel", 8), ("rows_used", 3)):
        inputs[name] = rng.integers(0, 1 << width, cycles, dtype=np.uint32)
    inputs["columns_used"] = inputs["rows_used"][::-1].copy()
    for name, count in (("column", 3), ("weights", 9)):
        for number in range(count):
            inputs[f"{name}__{number}"] = rng.integers(0, 256, cycles, dtype=np.uint32)
    generic, *others = (
        simulate(VectorLane(technology)).play(cycles, inputs, ["sum"])["sum"]
        for technology in ("generic", "fabric", "ecp5")
    )
    assert len(set(generic)) > cycles // 2
    for other in others:
        np.testing.assert_array_equal(other, generic)


def test_a_broken_promise_is_seen(run_cocotb):
    """The watch over all streams: a block that changes what it offered fails."""
    pytest.importorskip("amaranth")
    from amaranth.hdl import Module, Signal
    from amaranth.lib import stream, wiring
    from amaranth.lib.wiring import Out

    class Fickle(wiring.Component):
        out: Out(stream.Signature(4))

        def __init__(self, withdraws):
            self.withdraws = withdraws
            super().__init__()

        def elaborate(self, platform):
            m = Module()
            count = Signal(4)
            m.d.sync += count.eq(count + 1)
            m.d.comb += [
                self.out.payload.eq(0 if self.withdraws else count),
                self.out.valid.eq(~count[2] if self.withdraws else 1),
            ]
            return m

    results = [{"out__payload": (0, 0)}]
    data = {"inputs": {"out__ready": [0] * 20}, "valid": "out__valid", "results": results,
            "cycles": None, "waits": "out__ready"}  # fmt: skip
    with pytest.raises(AssertionError, match=r"became .* while it waited"):
        run_cocotb(Fickle(False), "cocotb_play", data)
    with pytest.raises(AssertionError, match="withdrawn before it was taken"):
        run_cocotb(Fickle(True), "cocotb_play", data)
