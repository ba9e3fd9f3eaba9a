"""The requantizer against `kernels.fixedpoint`, in compiled simulation and under Icarus."""

import numpy as np
import pytest

from midge.kernels.fixedpoint import multiply_by_quantized_multiplier

EDGES = sorted(
    {-(1 << 31), -(1 << 31) + 1, 0, (1 << 31) - 1}
    | {sign * ((1 << bits) + step) for bits in range(31) for sign in (1, -1) for step in (-1, 0, 1)}
)
MULTIPLIERS = [0, 1 << 30, (1 << 30) + 1, 1518500250, (1 << 31) - 2, (1 << 31) - 1]
LATENCY_CYCLES = 8


def corner_operands():
    """(values, multipliers, shifts): every edge with every multiplier and every shift."""
    grid = np.meshgrid(EDGES, MULTIPLIERS, np.arange(-31, 4), indexing="ij")
    return tuple(axis.reshape(-1) for axis in grid)


def random_operands(rng, count):
    """Operands whose result is in or near int8 as often as it is not."""
    shifts = rng.integers(-31, 4, count)
    size = np.minimum(7 - shifts + rng.integers(0, 3, count), 30)
    values = rng.integers(-(1 << 31), 1 << 31, count) >> np.clip(31 - size, 0, 31)
    return values, rng.integers(1 << 30, 1 << 31, count), shifts


def expected(values, multipliers, shifts, zero_point, least, greatest):
    scaled = multiply_by_quantized_multiplier(values, multipliers, shifts)
    return np.clip(scaled.astype(np.int64) + zero_point, least, greatest)


def payload(values, multipliers, shifts):
    """The operands as the stream's 69 bits: uint32 [count, 3]."""
    packed = np.zeros((len(values), 3), np.uint32)
    packed[:, 0] = values & 0xFFFF_FFFF
    packed[:, 1] = (multipliers | shifts << 31) & 0xFFFF_FFFF
    packed[:, 2] = shifts >> 1 & 0x1F
    return packed


def compiled_results(simulation, operands, zero_point, least, greatest):
    count = len(operands[0])
    for name, value in (("zero_point", zero_point), ("minimum", least), ("maximum", greatest)):
        simulation.set(name, value & 0xFF)
    simulation.set("out__ready", 1)
    padded = [np.concatenate([axis, np.zeros(LATENCY_CYCLES, np.int64)]) for axis in operands]
    valid = (np.arange(count + LATENCY_CYCLES) < count).astype(np.uint32)
    answer = simulation.play(
        count + LATENCY_CYCLES,
        {"operands__payload": payload(*padded), "operands__valid": valid},
        ["out__payload", "out__valid"],
    )
    assert not answer["out__valid"][:LATENCY_CYCLES].any()
    assert answer["out__valid"][LATENCY_CYCLES:].all()
    return answer["out__payload"][LATENCY_CYCLES:].astype(np.uint8).view(np.int8)


@pytest.fixture(scope="module")
def requantize_class():
    pytest.importorskip("amaranth")
    from midge.hw.requantize import Requantize

    return Requantize


SETTINGS = [(0, -128, 127), (-128, -128, 127), (127, -128, 127), (-5, -5, 100), (3, 3, 3)]


@pytest.mark.parametrize("technology", ["generic", "fabric", "ecp5"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_fixedpoint_at_every_corner(simulate, requantize_class, settings, technology):
    operands = corner_operands()
    got = compiled_results(simulate(requantize_class(technology)), operands, *settings)
    np.testing.assert_array_equal(got, expected(*operands, *settings))


@pytest.mark.parametrize("technology", ["generic", "fabric", "ecp5"])
def test_equals_fixedpoint_on_random_operands(simulate, requantize_class, technology):
    operands = random_operands(np.random.default_rng(1), 200_000)
    wanted = expected(*operands, -3, -128, 127)
    assert len(np.unique(wanted)) == 256  # else the test would see little but clamps
    got = compiled_results(simulate(requantize_class(technology)), operands, -3, -128, 127)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("technology", ["generic", "xc7"])
def test_back_pressure(run_cocotb, requantize_class, request, technology):
    """Order and bits are kept; on xc7 with the vendor's cell."""
    sources = [request.getfixturevalue("vendor_cells")] if technology == "xc7" else []
    operands = random_operands(np.random.default_rng(2), 300)
    data = {
        "payloads": [
            int.from_bytes(row.astype("<u4").tobytes(), "little") for row in payload(*operands)
        ],
        "settings": (-3, -100, 101),
        "expected": expected(*operands, -3, -100, 101).tolist(),
    }
    run_cocotb(requantize_class(technology), "cocotb_requantize", data, sources)
