"""A serial line, by the clock on the wall, on the bridge to a host port."""

import random

import cocotb
from bench import DATA, Words, start
from cocotb.triggers import FallingEdge, Timer, with_timeout

from midge.hw.machine import Register, SerialRequest

BIT_PS = 10_000 * DATA["divider"]


async def send(dut, octets, bit_ps, rng):
    """Bytes with pauses between them; the line rests at 1."""
    for octet in octets:
        for bit in (0, *(octet >> place & 1 for place in range(8)), 1):
            dut.rx.value = bit
            await Timer(bit_ps, "ps")
        await Timer(rng.choice([0, 0, bit_ps // 3]) + 1, "ps")


async def receive(dut, count):
    """Bytes, each sampled in the middle of its bits."""
    octets = bytearray()
    for _ in range(count):
        await FallingEdge(dut.tx)
        await Timer(BIT_PS + BIT_PS // 2, "ps")
        octet = 0
        for place in range(8):
            octet |= int(dut.tx.value) << place
            await Timer(BIT_PS, "ps")
        assert dut.tx.value == 1, "no stop bit"
        octets.append(octet)
    return bytes(octets)


async def ask(dut, request, count, bit_ps, rng):
    """The answer's bytes, in time."""
    answer = cocotb.start_soon(receive(dut, count))
    await send(dut, request, bit_ps, rng)
    return await with_timeout(answer, 12 * BIT_PS * (count + 2), "ps")


def header(kind, address, words):
    return bytes([kind]) + address.to_bytes(3, "little") + words.to_bytes(2, "little")


@cocotb.test()
@cocotb.parametrize((("percent", "room"), [(-3, 0.1), (0, 1.0), (3, 0.1)]))
async def words_through_the_line(dut, percent, room):
    """Writes and reads of several words, the same twice, with a line that is early or late."""
    rng, bit_ps = random.Random(percent), BIT_PS * (100 + percent) // 100
    dut.rx.value = 1
    await start(dut, "host__ready", "host__read_data")
    await Timer(2 * BIT_PS, "ps")
    words = Words(dut, rng, room)
    content = [rng.getrandbits(32) for _ in range(3)]
    address = 4 * rng.randrange(1 << 18)
    load = b"".join(word.to_bytes(4, "little") for word in content)
    for _ in range(2):
        words.accesses.clear()
        for at in (address, int(Register.COMMAND)):
            request = header(SerialRequest.WRITE, at, len(content)) + load
            assert await ask(dut, request, 1, bit_ps, rng) == bytes([SerialRequest.DONE])
        places = [address + 4 * number for number in range(len(content))]
        assert [words.words[place] for place in places] == content
        assert words.words[Register.COMMAND] == content[-1]
        request = header(SerialRequest.READ, address, len(content))
        assert await ask(dut, request, len(load), bit_ps, rng) == load
        wanted = [(1, place) for place in places] + 3 * [(1, Register.COMMAND)]
        assert words.accesses == wanted + [(0, place) for place in places]
    await send(dut, header(9, address, 1), bit_ps, rng)  # no such request: forgotten
    request = header(SerialRequest.READ, address, 1)
    assert await ask(dut, request, 4, bit_ps, rng) == load[:4]
