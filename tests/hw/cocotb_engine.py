"""Runs jobs on the engine, alone and while its memories are read and written all the time."""

import random

import cocotb
import numpy as np
from bench import DATA, settled, start, value
from cocotb.triggers import FallingEdge

INPUTS = (
    "commands__valid", "commands__payload", "read__address", "read_valid", "write__address",
    "write__data", "write__mask", "weights__address", "weights__data", "weights__enable",
    "parameters__tile", "parameters__column", "parameters__data", "parameters__enable",
)  # fmt: skip


class Host:
    """What is asked of the engine and its memories."""

    def __init__(self, dut, rng):
        self.dut, self.rng = dut, rng

    async def fill(self, tile):
        """Weights and parameters, as `Accelerator` writes them."""
        dut = self.dut
        for number, word in enumerate(tile.weights):
            await settled(dut, weights__address=number, weights__data=word, weights__enable=1)
            await FallingEdge(dut.clk)
        dut.weights__enable.value = 0
        rows = tile.parameters.reshape(-1, DATA["column_places"], 4).tolist()
        for group, columns in enumerate(rows):
            for column, (bias, multiplier, shift, _) in enumerate(columns[: DATA["columns"]]):
                data = bias | (multiplier & (1 << 31) - 1) << 32 | (shift & 63) << 63
                await settled(
                    dut, parameters__tile=group, parameters__column=column,
                    parameters__data=data, parameters__enable=1,
                )  # fmt: skip
                await FallingEdge(dut.clk)
        dut.parameters__enable.value = 0

    async def write(self, address, octets):
        for number, octet in enumerate(octets):
            await settled(self.dut, write__address=address + number, write__data=octet,
                          write__mask=1)  # fmt: skip
            while not value(self.dut.write_ready):
                await FallingEdge(self.dut.clk)
                await settled(self.dut)
            await FallingEdge(self.dut.clk)
        self.dut.write__mask.value = 0

    async def read(self, address, count):
        octets = []
        for number in range(count):
            await settled(self.dut, read__address=address + number, read_valid=1)
            await FallingEdge(self.dut.clk)
            self.dut.read_valid.value = 0
            for _ in range(DATA["read_cycles"] - 1):
                await FallingEdge(self.dut.clk)
            await settled(self.dut)
            octets.append(value(self.dut.read__data) & 255)
            await FallingEdge(self.dut.clk)
        return np.array(octets, np.uint8).view(np.int8)

    async def run(self, job, image, disturbs):
        """(cycles that the job took, those that were taken from it)"""
        dut, rng, words = self.dut, self.rng, list(job.encode())
        finished, stolen, asked, noted = value(dut.progress__finished) + 1, 0, [], 0
        for cycle in range(20_000):
            reads = rng.random() < disturbs
            at, writes = rng.randrange(len(image)), rng.random() < disturbs / 2
            word = rng.getrandbits(8)
            await settled(
                dut, commands__valid=bool(words), commands__payload=words[0] if words else 0,
                read_valid=reads, read__address=job.input_address + at if reads else 0,
                write__mask=int(writes), write__address=DATA["spare"], write__data=word,
            )  # fmt: skip
            asked.append(image[at] & 255 if reads else None)
            wanted = asked[cycle - DATA["read_cycles"]] if cycle >= DATA["read_cycles"] else None
            assert wanted in (None, value(dut.read__data) & 255), "a read in mid job"
            if words and value(dut.commands__ready):
                words.pop(0)
            elif not words:
                stolen += reads
            if writes and value(dut.write_ready):
                noted = word
            await FallingEdge(dut.clk)
            if value(dut.progress__finished) == finished:
                break
        await settled(dut, read_valid=0, write__mask=0)
        assert value(dut.progress__finished) == finished, "the job did not end"
        await FallingEdge(dut.clk)
        if noted:
            assert await self.read(DATA["spare"], 1) == np.uint8(noted).view(np.int8)
        return value(dut.progress__job_cycles), stolen


@cocotb.test()
@cocotb.parametrize(disturbs=[0.0, 0.4])
async def same_outputs(dut, disturbs):
    """Each layer twice; its cycles are the estimate and what was taken from it."""
    host = Host(dut, random.Random(disturbs))
    await start(dut, *INPUTS)
    for tile, x, expected, estimates in DATA["layers"]:
        image = x.reshape(-1)
        await host.fill(tile)
        await host.write(tile.job.input_address, image.view(np.uint8).tolist())
        for _ in range(2):
            await host.write(tile.output_address, [0xA5] * expected.size)
            for job, estimate in zip(tile.jobs, estimates, strict=True):
                cycles, stolen = await host.run(job, image.tolist(), disturbs)
                assert estimate <= cycles <= estimate + stolen, (estimate, cycles, stolen)
                assert disturbs or cycles == estimate
            answer = await host.read(tile.output_address, expected.size)
            np.testing.assert_array_equal(answer, expected.reshape(-1))
