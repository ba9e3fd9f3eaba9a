"""Windows over any axes, samples of images and spectra, as ONNX Runtime has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, UnsupportedModel
from midge.runtime.importers import read_model
from midge.runtime.pipeline import compile_graph

rng = np.random.default_rng(17)
START = rng.bit_generator.state
FAR = 1e-4  # ONNX Runtime's own transforms are up to 4e-5 from those in float64, ours 3e-6


@pytest.fixture(autouse=True)
def drawn_anew() -> None:
    """Each test draws the same numbers, whatever ran before it."""
    rng.bit_generator.state = START


def draw(*shape: int, kind: str = "float32") -> np.ndarray:
    if kind == "float32":
        return rng.normal(0, 1, shape).astype(kind)
    return rng.integers(0, 200, shape).astype(kind)


def network(
    op: str, inputs: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray],
    outputs: int = 1, opset: int = 20, domain: str = "", **attributes: Any
) -> bytes:  # fmt: skip
    """One node: the operands in order, of which some are the model's inputs."""
    names = list({**inputs, **constants})
    names = sorted(names)  # operands are called a, b, c, ...
    operands = [chr(97 + i) if chr(97 + i) in names else "" for i in range(ord(names[-1]) - 96)]
    made = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, operands, made, domain=domain, **attributes)
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in inputs.items()
    ]
    held = [numpy_helper.from_array(v, n) for n, v in constants.items()]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in made[:1]]
    ends += [helper.make_tensor_value_info(n, onnx.TensorProto.INT64, None) for n in made[1:]]
    ends[0].type.tensor_type.elem_type = given[0].type.tensor_type.elem_type
    graph = helper.make_graph([node], "one", given, ends, held)
    sets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    model = helper.make_model(graph, opset_imports=sets)
    model.ir_version = 9
    return model.SerializeToString()


def agree(
    op: str, inputs: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray] | None = None,
    tolerance: float = 2e-5, **more: Any
) -> None:  # fmt: skip
    """One node has ONNX Runtime's answers."""
    agree_model(network(op, inputs, constants or {}, **more), inputs, tolerance=tolerance)


def agree_model(
    model: bytes, inputs: Mapping[str, np.ndarray], step: float = 0, tolerance: float = 2e-5
) -> None:
    """The reference's answers are ONNX Runtime's, but for the rounding of floats; two in a hundred
    may be a `step` away. Its optimizations are off: one of them quantizes what MatMul is given."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    theirs = onnxruntime.InferenceSession(model, options).run(None, dict(inputs))
    graph = read_model(model)
    ours = find_backend("reference").build(compile_graph(graph, "reference"))
    for answer, wanted in zip(ours.run(list(inputs.values())), theirs, strict=True):
        assert answer.dtype == wanted.dtype
        if step:
            ties = np.rint((answer - wanted) / step)
            assert np.abs(ties).max() <= 1
            assert np.mean(ties != 0) <= 0.02
            answer = answer - (ties * step).astype(answer.dtype)
        np.testing.assert_allclose(answer, wanted, rtol=tolerance, atol=tolerance)


POOLS: Mapping[str, dict[str, Any]] = {
    "dilated": {"shape": (2, 3, 11, 9), "kernel_shape": [3, 2], "dilations": [2, 3],
                "pads": [1, 0, 2, 1], "strides": [2, 1]},
    "of_volumes": {"shape": (1, 2, 5, 6, 7), "kernel_shape": [2, 3, 2], "strides": [1, 2, 2],
                   "pads": [1, 1, 0, 0, 1, 1], "dilations": [1, 1, 2]},
    "rounded_up": {"shape": (1, 2, 7, 8), "kernel_shape": [3, 3], "strides": [2, 3],
                   "dilations": [1, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    "of_sequences": {"shape": (2, 3, 17), "kernel_shape": [4], "dilations": [3], "pads": [2, 1]},
}  # fmt: skip


@pytest.mark.parametrize("geometry", POOLS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_pools_of_any_windows(op: str, geometry: str) -> None:
    attributes = dict(POOLS[geometry])
    x = draw(*attributes.pop("shape"))
    agree(op, {"a": x}, **attributes)
    if op == "AveragePool":
        agree(op, {"a": x}, count_include_pad=1, **attributes)


@pytest.mark.parametrize("kind", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("order", [0, 1])
def test_places_of_the_greatest(kind: str, order: int) -> None:
    """The first of equals: small whole numbers are often equal."""
    x = rng.integers(0, 3, (2, 3, 8, 9)).astype(kind)
    agree("MaxPool", {"a": x}, outputs=2, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1],
          storage_order=order, opset=12)  # fmt: skip


@pytest.mark.parametrize("weights", ["constant", "computed"])
def test_convolutions_of_any_axes(weights: str) -> None:
    def both(op: str, x: np.ndarray, w: np.ndarray, b: np.ndarray, **attributes: Any) -> None:
        operands = {"b": w, "c": b}
        if weights == "constant":
            agree(op, {"a": x}, operands, **attributes)
        else:
            agree(op, {"a": x, **operands}, **attributes)

    both("Conv", draw(2, 4, 5, 6, 4), draw(6, 2, 2, 3, 2), draw(6), group=2, strides=[1, 2, 1],
         pads=[1, 1, 0, 0, 1, 1], dilations=[2, 1, 1])  # fmt: skip
    both("Conv", draw(1, 4, 7, 6), draw(8, 1, 3, 3), draw(8), group=4, pads=[1, 1, 1, 1])
    both("ConvTranspose", draw(2, 4, 9), draw(4, 3, 5), draw(6), group=2, strides=[3], pads=[1, 2],
         output_padding=[1], dilations=[2])  # fmt: skip
    both("ConvTranspose", draw(1, 3, 3, 4, 2), draw(3, 2, 2, 3, 2), draw(2), strides=[2, 1, 3],
         pads=[1, 0, 0, 0, 1, 1])  # fmt: skip
    both("ConvTranspose", draw(1, 3, 4, 5), draw(3, 2, 3, 3), draw(2), strides=[2, 2],
         output_shape=[8, 9])  # fmt: skip


def test_windows_laid_down() -> None:
    numbers = {"b": np.array([7, 8]), "c": np.array([2, 3])}
    agree("Col2Im", {"a": draw(2, 3 * 6, 4 * 8)}, numbers, strides=[2, 1], pads=[0, 1, 1, 1])


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("outside", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_samples_of_images(mode: str, outside: str, corners: int) -> None:
    grid = rng.uniform(-1.8, 1.8, (2, 9, 7, 2)).astype(np.float32)
    agree("GridSample", {"a": draw(2, 3, 5, 6), "b": grid}, mode=mode, padding_mode=outside,
          align_corners=corners)  # fmt: skip


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("samples", [0, 2])
def test_regions_of_images(mode: str, samples: int) -> None:
    """Some lie outside, or have no area."""
    first = rng.uniform(-3, 30, (12, 2))
    regions = np.concatenate([first, first + rng.uniform(0, 18, (12, 2))], 1).astype(np.float32)
    operands = {"a": draw(3, 2, 9, 11), "b": regions, "c": rng.integers(0, 3, 12)}
    for place in ("half_pixel", "output_half_pixel"):
        agree("RoiAlign", operands, mode=mode, sampling_ratio=samples, output_height=3,
              output_width=4, spatial_scale=0.5, coordinate_transformation_mode=place)  # fmt: skip
    if mode == "avg" and not samples:
        model = network("RoiAlign", operands, {}, output_height=3, output_width=4)
        executor = find_backend("reference").build(compile_graph(read_model(model), "reference"))
        with pytest.raises(InputError, match="regions are of images 0 to 2, 3 came"):
            executor.run([operands["a"], operands["b"], operands["c"] * 0 + 3])


@pytest.mark.parametrize("attributes", [{}, {"onesided": 1}, {"inverse": 1}, {"dft_length": 7},
                                        {"dft_length": 16}], ids=str)  # fmt: skip
def test_transforms(attributes: dict[str, int]) -> None:
    attributes = dict(attributes)
    held = {"b": np.array(attributes.pop("dft_length"))} if "dft_length" in attributes else {}
    parts = 1 if attributes.get("onesided") else 2
    held["c"] = np.array(1)
    agree("DFT", {"a": draw(2, 12, 3, parts)}, held, tolerance=FAR, **attributes)


@pytest.mark.parametrize("window", ["constant", "computed", "none"])
def test_spectra_of_frames(window: str) -> None:
    """An audio front end: frames of 32 samples, 10 apart."""
    x, hann = draw(2, 200, 1), np.hanning(32).astype(np.float32)
    held = {"b": np.array(10), "d": np.array(32)}
    if window == "constant":
        agree("STFT", {"a": x}, {**held, "c": hann}, opset=17, tolerance=FAR)
    elif window == "computed":
        agree("STFT", {"a": x, "c": hann}, held, opset=17, tolerance=FAR)
    else:
        agree("STFT", {"a": x}, held, opset=17, tolerance=FAR, onesided=0)


def test_answers_of_unknown_size_are_refused() -> None:
    boxes, scores = draw(1, 5, 4), draw(1, 2, 5)
    with pytest.raises(UnsupportedModel, match="how many boxes it leaves depends on them") as told:
        read_model(network("NonMaxSuppression", {"a": boxes, "b": scores}, {}))
    assert "end the model before it" in str(told.value)


@pytest.mark.parametrize("zeros", ["packed", "none"])
@pytest.mark.parametrize("bits", [4, 8])
def test_products_with_packed_weights(bits: int, zeros: str) -> None:
    columns, depth, block = 6, 64, 32
    count, size = depth // block, block * bits // 8
    held = {
        "b": rng.integers(0, 256, (columns, count, size)).astype(np.uint8),
        "c": rng.uniform(0.01, 0.1, columns * count).astype(np.float32),
    }
    if zeros == "packed":
        held["d"] = rng.integers(0, 256, columns * count * bits // 8).astype(np.uint8)
    agree("MatMulNBits", {"a": draw(3, depth)}, held, domain="com.microsoft", N=columns, K=depth,
          bits=bits, block_size=block)  # fmt: skip
