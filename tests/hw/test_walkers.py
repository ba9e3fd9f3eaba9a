"""The walkers against windows of a padded image, and against a list of pixels."""

import numpy as np
import pytest
from hw_blocks import ALL, PATTERNS, SMALL, bits, job_bits
from vector_pixels import draw_vector_job, pixels_of

from midge.hw.commands import Opcode
from midge.hw.machine import Machine

TWO = {name: PATTERNS[name] for name in ("streaming", "both")}


def vectors_of(job, layer, machine, shape):
    """The payloads that a convolution's vectors have, tile by tile, from an image with padding."""
    top, bottom, left, right = layer.padding
    x = np.pad(layer.x, ((top, bottom), (left, right), (0, 0)),
               constant_values=layer.input_zero_point)  # fmt: skip
    channels = x.shape[2]
    rows = x.reshape(len(x), -1)
    height, width, _ = layer.expected.shape
    groups = job.column_tiles(machine)
    for group in range(groups):
        runs = [(tap, tap_w, first) for tap in range(job.kernel_h) for tap_w in range(job.segments)
                for first in range(0, job.segment_bytes, machine.rows)]  # fmt: skip
        for number, (tap, tap_w, first) in enumerate(runs):
            last = number == len(runs) - 1
            for pixel in range(height * width):
                row = pixel // width * layer.stride[0] + tap * layer.dilation[0]
                column = pixel % width * layer.stride[1] + tap_w * layer.dilation[1]
                used = min(machine.rows, job.segment_bytes - first)
                at = column * channels + first
                values = np.full(machine.rows, layer.input_zero_point)
                values[:used] = rows[row, at : at + used]
                yield shape.const({
                    "values": values.tolist(), "swap": int(pixel == 0),
                    "tag": {
                        "pixel": pixel, "parameters": job.parameter_address + group,
                        "first": int(number == 0), "last": int(last),
                        "end": int(pixel == height * width - 1),
                        "final": int(last and group == groups - 1),
                    },
                }).as_bits()  # fmt: skip


def tiles_of(job, machine, shape):
    """The payloads of `TileWalker`'s tiles; test_blocks has them from the walker itself."""
    groups = job.column_tiles(machine)
    for group in range(groups):
        runs = [(tap, segment, first) for tap in range(job.kernel_h)
                for segment in range(job.segments)
                for first in range(0, job.segment_bytes, machine.rows)]  # fmt: skip
        for number, (tap, segment, first) in enumerate(runs):
            last = number == len(runs) - 1
            yield bits(
                shape, row=tap * job.dilation_h - job.padding_top,
                row_address=(job.first_row_address + tap * job.tap_step) % (1 << 20),
                position=job.first_position + segment * job.segment_step + first,
                bytes=min(machine.rows, job.segment_bytes - first), first=number == 0, last=last,
                final=last and group == groups - 1, parameters=job.parameter_address + group,
            )  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1])
def test_pixels(run_cocotb, layers, seed):
    pytest.importorskip("amaranth")
    from midge.hw.im2col import PixelWalker
    from midge.hw.scratchpad import Scratchpad

    rng = np.random.default_rng(30 + seed)
    layer = layers(rng, shape=(4, 5, (17, 3)[seed]), outputs=(3, 7)[seed], kernel=(2, 3),
                   dilation=(1, 1 + seed), stride=(1, 2), padding=(1, 0, 2, 1))  # fmt: skip
    job = layer.tiles(Machine(rows=12, columns=5))[0].job
    walker = PixelWalker(SMALL)
    memory = rng.integers(0, 256, SMALL.activation_bytes)
    memory[job.input_address :][: layer.x.size] = layer.x.reshape(-1).view(np.uint8)
    vectors = list(vectors_of(job, layer, SMALL, walker.vectors.p.shape()))
    data = {
        "walker": "pixels", "job": job_bits(job), "memory": memory, "patterns": TWO,
        "tiles": list(tiles_of(job, SMALL, walker.tiles.p.shape())),
        "steps": [(vector, ALL, None) for vector in vectors],
        "pixels": job.pixels, "read_cycles": Scratchpad.LATENCY, "word_bytes": SMALL.word_bytes,
        "limit": 9 * len(vectors) + 100,
    }  # fmt: skip
    run_cocotb(walker, "cocotb_walker", data)


@pytest.mark.parametrize("opcode", [Opcode.SUM, Opcode.POOL, Opcode.ADD], ids=lambda o: o.name)
def test_vector_pixels(run_cocotb, opcode):
    pytest.importorskip("amaranth")
    from midge.hw.scratchpad import Scratchpad
    from midge.hw.vector_walker import VectorWalker

    job = draw_vector_job(np.random.default_rng(opcode), opcode, SMALL)
    walker = VectorWalker(SMALL)
    shape, words = walker.pixels.p.shape(), walker.words.p.shape()
    pixels = list(pixels_of(job, SMALL, shape))
    taps = SMALL.tap_words if job.needs_weights else 0
    data = {
        "walker": "vectors", "job": job_bits(job), "memory": [0], "patterns": TWO,
        "steps": [(pixel.tag, pixel.counts, pixel.address) for pixel in pixels],
        "pixels": len(pixels) // job.column_tiles(SMALL), "groups": job.column_tiles(SMALL),
        "tap_words": taps, "enough": max(0, taps - 4), "row_at": words["row"].offset,
        "read_cycles": Scratchpad.LATENCY, "word_bytes": 1, "limit": 9 * len(pixels) + 200,
    }  # fmt: skip
    run_cocotb(walker, "cocotb_walker", data)
