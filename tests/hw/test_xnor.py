"""A column of the binary mode against counts of bits, with weights that change under way."""

import numpy as np
import pytest
from hw_blocks import bits

from midge.hw.machine import CHAIN

CHAINS = 3


@pytest.mark.parametrize("technology", ["generic", "xc7"])
def test_counts_come_in_time(play, technology):
    """Vectors with idle cycles, the next weights loaded while the last ones are in use."""
    from midge.hw.array import ACTIVATION
    from midge.hw.xnor import FRACTION_BITS, XnorColumn

    rng = np.random.default_rng(7)
    column = XnorColumn(CHAINS, technology)
    rows, sums, cycle, swap = {}, {}, 0, 0
    for tile in range(8):
        weights = rng.integers(-128, 128, (CHAIN, CHAINS))
        if tile == 3:
            weights[:] = -1
        load = max(swap, cycle - int(rng.integers(0, 3)))  # a load may start with the last swap
        for row in range(CHAIN):
            at = rows.setdefault(load + row, {})
            at |= {f"load__{row}": 1}
            at |= {f"weights__{chain}": int(w) & 255 for chain, w in enumerate(weights[row])}
        cycle = max(cycle, load + 1)
        for vector in range(int(rng.integers(CHAIN, 9))):
            cycle += int(rng.integers(0, 3))
            swap = cycle if vector == 0 else swap
            values = rng.integers(-128, 128, (CHAIN, CHAINS))
            if tile == 3:
                values[:] = 0  # every bit differs
            for row in range(CHAIN):
                at = rows.setdefault(cycle + row, {})
                for chain in range(CHAINS):
                    entry = bits(ACTIVATION, value=values[row, chain], swap=vector == 0)
                    at[f"west__{row}__{chain}"] = entry
            differ = int(np.unpackbits((weights ^ values).astype(np.int8).view(np.uint8)).sum())
            sums[cycle + XnorColumn.LATENCY] = -differ << FRACTION_BITS
            cycle += 1
    length, width = cycle + XnorColumn.LATENCY + 1, len(column.sum)
    results = []
    for at in range(length):
        rows[at] = rows.get(at, {}) | {"mode": 1}
        counts = (1 << width) - 1 if at in sums else 0
        results.append({"sum": (sums.get(at, 0) & counts, counts)})
    assert -8 * CHAIN * CHAINS << FRACTION_BITS in sums.values()
    play(column, rows, None, results)


def test_without_the_mode_it_stands_still(play):
    """Weights and vectors that come meanwhile change nothing: its clock is worth saving."""
    from midge.hw.array import ACTIVATION
    from midge.hw.xnor import XnorColumn

    rng, length = np.random.default_rng(8), 30
    column, rows = XnorColumn(CHAINS), {}
    for at in range(length):
        rows[at] = {"mode": 0}
        for row in range(CHAIN):
            rows[at][f"load__{row}"] = 1
            for chain in range(CHAINS):
                entry = bits(ACTIVATION, value=rng.integers(-128, 128), swap=1)
                rows[at] |= {f"west__{row}__{chain}": entry, f"weights__{chain}": at}
    still = [{"sum": (0, 0 if at < XnorColumn.LATENCY + CHAIN else -1)} for at in range(length)]
    play(column, rows, None, still)
