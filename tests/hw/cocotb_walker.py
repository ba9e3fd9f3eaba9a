"""Walkers that read the scratchpad: what leaves them, when, and which bytes were asked for.

Memory answers `read_cycles` after the read; in a cycle without a grant the address means nothing,
and what comes back is rubbish. A step of `DATA["steps"]` is (payload, bits of it that count, bytes
that are read or None); the weights of group `n + 1` are asked for with group `n`.
"""

import random

import cocotb
from bench import DATA, reset, settled, start, value
from cocotb.triggers import FallingEdge

PIXEL_INPUTS = (
    "job", "tiles__valid", "tiles__payload", "loaded", "grant", "read__data"
)  # fmt: skip
VECTOR_INPUTS = ("job", "start", "words__valid", "words__payload", "grant")


class Memory:
    """What a read brings, in time."""

    def __init__(self, rng):
        self._rng, self.asked = rng, []  # (address or None) of each cycle

    def answer(self, cycle):
        at = cycle - DATA["read_cycles"]
        address = self.asked[at] if at >= 0 else None
        width, memory = DATA["word_bytes"], DATA["memory"]
        if address is None:
            return self._rng.getrandbits(8 * width)
        content = (memory[(address + byte) % len(memory)] for byte in range(width))
        return sum(int(byte) << 8 * place for place, byte in enumerate(content))


class Left:
    """The steps that left, each `read_cycles` after a read with a grant."""

    def __init__(self):
        self.cycles = []

    def look(self, dut, port, cycle, granted):
        if not value(getattr(dut, f"{port}__valid")):
            return
        assert granted[cycle - DATA["read_cycles"]], f"{cycle}: it was read without a grant"
        payload, counts, _ = DATA["steps"][len(self.cycles)]
        found = value(getattr(dut, f"{port}__payload"))
        assert found & counts == payload & counts, (cycle, len(self.cycles))
        self.cycles.append(cycle)


async def walk_pixels(dut, pattern):
    """`PixelWalker`: takes tiles when their weights are on their way."""
    rng = random.Random(pattern)
    granted_chance, comes = DATA["patterns"][pattern]
    await reset(dut, *PIXEL_INPUTS)
    dut.job.value = DATA["job"]
    memory, left, granted = Memory(rng), Left(), []
    tiles, loaded_from, offered, taken, asked = list(DATA["tiles"]), 2, False, [], 0
    for cycle in range(DATA["limit"]):
        offered = bool(tiles) and (offered or rng.random() < comes)
        grant = rng.random() < granted_chance
        loaded = loaded_from is not None and cycle >= loaded_from
        await settled(
            dut, tiles__valid=offered, loaded=loaded, grant=grant,
            tiles__payload=tiles[0] if offered else rng.getrandbits(64),
            read__data=memory.answer(cycle),
        )  # fmt: skip
        granted.append(grant)
        memory.asked.append(value(dut.read__address) if grant else None)
        left.look(dut, "vectors", cycle, granted)
        assert value(dut.taken) == (offered and value(dut.tiles__ready))
        if value(dut.more):
            asked += 1
            late = 0 if comes == 1 else rng.randrange(2 * DATA["pixels"])
            loaded_from = cycle + 2 + late
        if value(dut.taken):
            assert loaded, f"{cycle}: a tile was taken before its weights came"
            tiles.pop(0)
            offered, loaded_from = False, None
            taken.append(cycle)
        await FallingEdge(dut.clk)
        if len(left.cycles) == len(DATA["steps"]):
            break
    assert len(left.cycles) == len(DATA["steps"])
    assert (len(taken), asked) == (len(DATA["tiles"]), len(DATA["tiles"]) - 1)
    if granted_chance == comes == 1:
        first = taken[0] + 1 + DATA["read_cycles"]
        assert left.cycles == list(range(first, first + len(left.cycles))), "not without a gap"


async def walk_vectors(dut, pattern):
    """`VectorWalker`: reads the addresses that it must, group after group."""
    rng = random.Random(pattern)
    chance, _ = DATA["patterns"][pattern]
    await reset(dut, *VECTOR_INPUTS)
    dut.job.value = DATA["job"]
    memory, left, granted = Memory(rng), Left(), []
    words, groups, asked = {}, 0, 0  # cycle -> row of the weights
    for cycle in range(DATA["limit"]):
        if cycle == 3:
            words |= {cycle + 2 + row: row for row in range(DATA["tap_words"])}
        grant = rng.random() < chance
        row = words.get(cycle)
        await settled(
            dut, start=cycle == 3, grant=grant, words__valid=row is not None,
            words__payload=(row or 0) << DATA["row_at"],
        )  # fmt: skip
        granted.append(grant)
        memory.asked.append(value(dut.address) if grant else None)
        before = len(left.cycles)
        left.look(dut, "pixels", cycle, granted)
        for step in range(before, len(left.cycles)):
            at = DATA["steps"][step][2]
            assert memory.asked[cycle - DATA["read_cycles"]] == at, (cycle, step)
            groups += step % DATA["pixels"] == 0
            ready = [late for late, of in words.items() if of == DATA["enough"]]
            assert not DATA["tap_words"] or ready[groups - 1] < cycle - DATA["read_cycles"]
        if value(dut.more):
            asked += 1
            words |= {cycle + 2 + row: row for row in range(DATA["tap_words"])}
        await FallingEdge(dut.clk)
        if len(left.cycles) == len(DATA["steps"]):
            break
    assert len(left.cycles) == len(DATA["steps"])
    assert asked == (DATA["groups"] - 1 if DATA["tap_words"] else 0)
    if chance == 1:
        for first in range(0, len(left.cycles), DATA["pixels"]):
            group = left.cycles[first : first + DATA["pixels"]]
            assert group == list(range(group[0], group[0] + len(group))), "not a pixel a cycle"


@cocotb.test()
@cocotb.parametrize(pattern=list(DATA["patterns"]))
async def walks_twice(dut, pattern):
    """The job twice, the second time after a reset."""
    inputs, walk = {"pixels": (PIXEL_INPUTS, walk_pixels),
                    "vectors": (VECTOR_INPUTS, walk_vectors)}[DATA["walker"]]  # fmt: skip
    await start(dut, *inputs)
    for _ in range(2):
        await walk(dut, pattern)
