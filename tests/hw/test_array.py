"""The systolic array against a matrix product, at the closest timing that its contract allows."""

import numpy as np
import pytest

SIZES = [(12, 5), (4, 1)]
TAG_BITS = 12
CHAIN = 4


@pytest.fixture(scope="module")
def array_class():
    pytest.importorskip("amaranth")
    from midge.hw.array import SystolicArray

    return SystolicArray


def draw_tiles(rng, rows, columns, least=-128):
    """(weights [rows, columns], activations [vectors, rows]) of each tile, extremes among them."""
    tiles = []
    for number in range(12):
        vectors = int(rng.choice([1, 2, CHAIN, rows, 3 * rows]))
        weights = rng.integers(least, 128, (rows, columns))
        activations = rng.integers(-128, 128, (vectors, rows))
        if number % 4 == 3:
            weights = rng.choice([least, 127], (rows, columns))
            activations = rng.choice([-128, 127], (vectors, rows))
        if number == 4:
            weights[:], activations[:] = least, -128  # the greatest sum there is
        if number == 5:
            weights[:], activations[:] = 127, -128  # the least
        tiles.append((weights, activations))
    return tiles


def schedule(rng, tiles, rows, idle):
    """When each vector and each weight row enters: (load starts, vector cycles of each tile).

    A load starts with the last swap at the earliest, and not before the previous load's end; the
    next swap comes one cycle after the start of the load at the earliest.
    """
    loads, entries, cycle, load_free = [], [], 0, 0
    swap = 0
    for _, activations in tiles:
        load = max(swap, load_free) + int(idle * rng.integers(0, 3))
        load_free = load + CHAIN
        cycle = max(cycle, load + 1)
        entry = []
        for _ in activations:
            cycle += int(rng.integers(0, 3)) if rng.random() < idle else 0
            entry.append(cycle)
            cycle += 1
        swap = entry[0]
        loads.append(load)
        entries.append(entry)
    return loads, entries


def stimulus(rng, tiles, loads, entries, rows, columns):
    """(inputs by port, sums expected as [(cycle of entry, tag, sums of all columns)]).

    Payloads that are not valid are rubbish.
    """
    length = entries[-1][-1] + 2 * rows + columns + 8
    vector_bits = 8 * rows + 1 + TAG_BITS
    chains = rows // CHAIN
    weight_bits = 8 * chains * columns + 4
    vector = [int.from_bytes(rng.bytes(64), "little") % (1 << vector_bits) for _ in range(length)]
    weights = [int.from_bytes(rng.bytes(64), "little") % (1 << weight_bits) for _ in range(length)]
    vector_valid = np.zeros(length, np.uint32)
    weights_valid = np.zeros(length, np.uint32)
    wanted = []
    for (values, activations), load, entry in zip(tiles, loads, entries):
        for row in range(CHAIN):
            weights[load + row] = pack(values[row::CHAIN]) | row << 8 * chains * columns
            weights_valid[load + row] = 1
        for number, cycle in enumerate(entry):
            tag = len(wanted)
            swap = int(number == 0)
            vector[cycle] = pack(activations[number]) | swap << 8 * rows | tag << 8 * rows + 1
            vector_valid[cycle] = 1
            wanted.append((cycle, tag, activations[number] @ values))
    inputs = {
        "activations__payload": words(vector, vector_bits),
        "activations__valid": vector_valid,
        "weights__payload": words(weights, weight_bits),
        "weights__valid": weights_valid,
    }
    return inputs, wanted


def latency(rows, column):
    """A chain, two registers, a tree over the chains; columns in pairs."""
    return CHAIN + 2 + (rows // CHAIN - 1).bit_length() + column // 2


def pack(values):
    return int.from_bytes(np.asarray(values, np.int8).tobytes(), "little")


def words(values, bits):
    count = -(-bits // 32)
    data = b"".join(int(value).to_bytes(4 * count, "little") for value in values)
    return np.frombuffer(data, "<u4").reshape(-1, count).astype(np.uint32)


def check(outputs, wanted, rows, columns):
    """Each vector's sum and tag come out of a column exactly its latency later."""
    sum_bits = 16 + (rows - 1).bit_length()
    for column in range(columns):
        valid = outputs[f"sums__{column}__valid"]
        payload = outputs[f"sums__{column}__payload"].reshape(len(valid), -1).astype(object)
        cycles = [cycle + latency(rows, column) for cycle, _, _ in wanted]
        assert np.flatnonzero(valid).tolist() == cycles
        for cycle, (_, tag, sums) in zip(cycles, wanted):
            value = sum(int(word) << 32 * place for place, word in enumerate(payload[cycle]))
            total = value & (1 << sum_bits) - 1
            total -= (total >> sum_bits - 1) << sum_bits
            assert (total, value >> sum_bits) == (sums[column], tag), (column, cycle)


def make(rng, rows, columns, idle, least=-128):
    tiles = draw_tiles(rng, rows, columns, least)
    loads, entries = schedule(rng, tiles, rows, idle)
    return stimulus(rng, tiles, loads, entries, rows, columns)


def output_names(columns):
    return [f"sums__{column}__{name}" for column in range(columns) for name in ("valid", "payload")]


@pytest.mark.parametrize("idle", [0.0, 0.5], ids=["streaming", "idle"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equals_matrix_product(simulate, array_class, size, idle):
    rows, columns = size
    simulation = simulate(array_class(rows, columns, TAG_BITS))
    for seed in range(3):
        inputs, wanted = make(np.random.default_rng(seed), rows, columns, idle)
        length = len(inputs["weights__valid"])
        outputs = simulation.play(length, inputs, output_names(columns))
        check(outputs, wanted, rows, columns)


@pytest.mark.parametrize(
    ("idle", "technology"),
    [(0.0, "generic"), (0.5, "generic"), (0.5, "ecp5")],
    ids=["streaming", "idle", "ecp5"],
)
def test_equals_matrix_product_under_icarus(run_cocotb, array_class, idle, technology):
    rows, columns = 8, 3
    inputs, wanted = make(np.random.default_rng(7), rows, columns, idle)
    data = {"inputs": inputs, "rows": rows, "columns": columns, "wanted": wanted}
    array = array_class(rows, columns, TAG_BITS, technology=technology)
    run_cocotb(array, "cocotb_array", data)


@pytest.mark.parametrize("idle", [0.0, 0.5], ids=["streaming", "idle"])
def test_two_products_in_a_dsp48(run_cocotb, array_class, vendor_cells, idle):
    """On the vendor cell's simulation model that comes with yosys; weights of -127 to 127."""
    rows, columns = 8, 4
    inputs, wanted = make(np.random.default_rng(8), rows, columns, idle, least=-127)
    data = {"inputs": inputs, "rows": rows, "columns": columns, "wanted": wanted}
    array = array_class(rows, columns, TAG_BITS, packed=True)
    run_cocotb(array, "cocotb_array", data, sources=[vendor_cells])
