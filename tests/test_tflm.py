"""What TFLM alone has, or does in its own way, with answers of TFLM itself.

Its interpreter is that of the package tflite-micro (0.dev20261023182759): `runtime.Interpreter
.from_bytes(model)`, `set_input`, `invoke`, `get_output`. It isn't needed here: its answers are.
"""

from __future__ import annotations

import build_general as g
import numpy as np
import pytest
from tflite_writer import ModelBuilder

from midge.runtime.backend import find_backend
from midge.runtime.errors import UnsupportedModel
from midge.runtime.importers.tflite import read_tflite
from midge.runtime.pipeline import compile_model

TARGETS = ("reference", "host")
# Of rng.integers(-128, 128, (1, 1, 4, 3)), drawn one after the other with seed 4.
BUFFERED = [
    [20, -28, -22, 127, 117, 127],
    [127, -128, 35, 71, -128, 62],
    [127, -128, 79, 127, 62, 127],
    [127, -35, -35, 127, -128, 127],
    [127, -4, 94, 36, -118, 127],
    [127, -128, -19, 127, 109, -128],
    [127, -128, 127, 127, 127, 127],
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_circular_buffer_keeps_what_came(target: str) -> None:
    executor = find_backend(target).build(compile_model(g.circular_buffer(cycles_max=1), target))
    rng = np.random.default_rng(4)
    for wanted in BUFFERED:
        (y,) = executor.run([rng.integers(-128, 128, (1, 1, 4, 3)).astype(np.int8)])
        np.testing.assert_array_equal(y.reshape(-1), wanted)


def test_a_circular_buffer_that_ends_inferences_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="it lets one of 2 inferences go on"):
        read_tflite(g.circular_buffer(rows=4))


def test_what_vela_made_is_refused_with_a_remedy() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), *g.Q), model.tensor((1, 8), *g.Q)
    model.node("CUSTOM", [x], [y], custom_code="ethos-u", custom_options=b"COP1")
    with pytest.raises(UnsupportedModel, match=r"give midge the \.tflite file that Vela was given"):
        read_tflite(model.build([x], [y]))
