"""`cocotbext-axi`'s master on the AXI4-Lite slave, with a model of the host port behind it."""

import random

import cocotb
from axi_ends import pause
from bench import DATA, Words, settled, start, value
from cocotb.triggers import Combine, FallingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from contracts import ContractWatch, axi_offers

SPAN = 64  # words that are read and written


async def begin(dut, pattern):
    """(master, words) with contracts watched."""
    await start(dut, "host__ready", "host__read_data")
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_"), dut.clk, dut.rst)
    pause(pattern, (master.write_if.aw_channel, master.write_if.w_channel,
                    master.read_if.ar_channel),
          (master.write_if.b_channel, master.read_if.r_channel))  # fmt: skip
    ContractWatch(dut.clk, axi_offers(dut, "s_axi", True))
    room = 1.0 if pattern in ("streaming", "idle") else 0.4
    return master, Words(dut, random.Random(pattern), room)


@cocotb.test()
@cocotb.parametrize(pattern=list(DATA["patterns"]))
async def words_arrive(dut, pattern):
    """Random reads and writes, the same ones twice; half a word is refused and writes nothing."""
    rng, (master, words) = random.Random(pattern), await begin(dut, pattern)
    wanted, accesses = {}, []
    script = [(rng.random(), 4 * rng.randrange(SPAN), rng.getrandbits(32)) for _ in range(60)]
    for kind, address, word in 2 * script:
        if kind < 0.1:
            answer = await master.write(address + rng.randrange(1, 3), b"\xa5")
            assert answer.resp == AxiResp.SLVERR
            continue
        accesses.append((int(kind < 0.5), address))
        if kind < 0.5:
            answer = await master.write(address, word.to_bytes(4, "little"))
            wanted[address] = word
        else:
            answer = await master.read(address, 4)
            assert int.from_bytes(answer.data, "little") == wanted.get(address, 0)
        assert answer.resp == AxiResp.OKAY
    assert words.accesses == accesses and words.words == wanted


@cocotb.test()
@cocotb.parametrize(pattern=list(DATA["patterns"]))
async def reads_and_writes_at_once(dut, pattern):
    """Each channel with its own requests: nothing is lost, whichever goes first."""
    rng, (master, words) = random.Random(pattern), await begin(dut, pattern)
    words.words = {4 * at: rng.getrandbits(32) for at in range(SPAN)}
    before, after = dict(words.words), {4 * at: rng.getrandbits(32) for at in range(SPAN)}

    async def write():
        for address, word in after.items():
            await master.write(address, word.to_bytes(4, "little"))

    async def read():
        for address in before:
            answer = int.from_bytes((await master.read(address, 4)).data, "little")
            assert answer in (before[address], after[address])

    await Combine(cocotb.start_soon(write()), cocotb.start_soon(read()))
    assert words.words == after and len(words.accesses) == 2 * SPAN


@cocotb.test()
async def answers_come_in_time(dut):
    """With a host port that is always ready, `READ_CYCLES` and `WRITE_CYCLES` after the request."""
    names = ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr",
             "arprot", "arvalid", "rready")  # fmt: skip
    await start(dut, "host__ready", "host__read_data", *(f"s_axi__{name}" for name in names))
    Words(dut, random.Random(0), 1.0).words[8] = 1234
    for given, answer, cycles in (
        ({"araddr": 8, "arvalid": 1}, "rvalid", DATA["read_cycles"]),
        ({"awaddr": 8, "awvalid": 1, "wvalid": 1, "wstrb": 15}, "bvalid", DATA["write_cycles"]),
    ):
        await FallingEdge(dut.clk)
        await settled(dut, **{f"s_axi__{name}": level for name, level in given.items()})
        for cycle in range(cycles):
            assert not value(getattr(dut, f"s_axi__{answer}")), cycle
            await FallingEdge(dut.clk)
            for name in ("arvalid", "awvalid", "wvalid"):
                getattr(dut, f"s_axi__{name}").value = 0
            await settled(dut)
        assert value(getattr(dut, f"s_axi__{answer}")), "it comes later than it must"
        if answer == "rvalid":
            assert value(dut.s_axi__rdata) == 1234
        await FallingEdge(dut.clk)
        await settled(dut, s_axi__rready=1, s_axi__bready=1)
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        await settled(dut, s_axi__rready=0, s_axi__bready=0)
