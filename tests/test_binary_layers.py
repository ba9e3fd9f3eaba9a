"""Low-bit layers of the literature, each against its own arithmetic, and the same bits on every
backend."""

from __future__ import annotations

import numpy as np
import pytest
from c_call import CTwin

from midge.kernels.windows import windows
from midge.runtime import bits
from midge.runtime.attributes import BDense, Padding
from midge.runtime.backend import find_backend
from midge.runtime.binary_layers import LayerBuilder
from midge.runtime.binary_weights import (
    abc_bases,
    dorefa_weights,
    fold_sign,
    rbnn_weights,
    ternary_weights,
)
from midge.runtime.errors import MissingTool
from midge.runtime.graph import BINARY, Graph
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph

AROUND = Padding(1, 1, 1, 1)
SHAPE = (1, 6, 5, 37)
FLOAT = np.float32


def weights(seed: int = 0, filters: int = 9, channels: int = 37, size: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(filters, size, size, channels)) / 5).astype(FLOAT)


def real_input(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(FLOAT)


def convolve(x: np.ndarray, w: np.ndarray, outside: float = 0, stride=(1, 1)) -> np.ndarray:
    """Plain convolution in float64: exact on whole numbers."""
    seen = windows(x.astype(np.float64), w.shape[1:3], stride, AROUND, fill=outside)
    return np.tensordot(seen, w.astype(np.float64), axes=((3, 4, 5), (1, 2, 3)))


def signs(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, -1.0, 1.0)


def run(graph: Graph, *inputs: np.ndarray) -> list[np.ndarray]:
    """What the reference makes; the host and the C kernels make the same."""
    wanted = find_backend("reference").build(compile_graph(graph, "reference")).run(inputs)
    host = find_backend("host").build(compile_graph(graph, "host")).run(inputs)
    answers = [host]
    try:
        answers.append(CTwin(compile_graph(graph, "cortex-m4")).run(inputs))
    except MissingTool:
        pass  # test_every_core_agrees says what is missing
    for answer in answers:
        for actual, expected in zip(answer, wanted, strict=True):
            assert actual.tobytes() == expected.tobytes()
    return wanted


def affine(sums: np.ndarray, multiplier, whole: float = 0) -> np.ndarray:
    """`bconv2d`'s own rounding of sum * multiplier."""
    m = np.asarray(multiplier, FLOAT)
    offset = (whole * m.astype(np.float64)).astype(FLOAT)
    return (whole - sums).astype(FLOAT) * -m + offset


def test_xnor_net():
    w, x, layers = weights(), real_input(), LayerBuilder()
    graph = layers.graph(layers.xnor_net(layers.input(SHAPE), w, (2, 1), AROUND))
    alpha = np.abs(w).mean(axis=(1, 2, 3), dtype=np.float64).astype(FLOAT)
    a = np.zeros(SHAPE[:3], FLOAT)
    for channel in range(SHAPE[3]):
        a += np.abs(x[..., channel])
    a = (a / FLOAT(SHAPE[3]))[..., None]
    seen = windows(a, (3, 3), (2, 1), AROUND)
    k = np.zeros(seen.shape[:3], FLOAT)
    for tap in np.ndindex(3, 3):
        k += seen[..., tap[0], tap[1], 0] * FLOAT(1 / 9)
    y = affine(convolve(signs(x), signs(w), stride=(2, 1)), alpha, 9 * 37)
    np.testing.assert_array_equal(run(graph, x)[0], y * k[..., None])


def test_xor_form_is_the_xnor_form():
    """2 * popcount(xnor) - K over the channels that are there, without a NOT being computed."""
    rng = np.random.default_rng(0)
    for channels in (1, 31, 32, 33, 70):
        a, b = rng.integers(0, 2, (2, 50, channels)) == 1
        xnor = 2 * (~(a ^ b)).sum(axis=1) - channels
        words = (bits.pack(a) ^ bits.pack(b)).view(np.uint8)
        xor = channels - 2 * np.unpackbits(words, axis=1).sum(axis=1, dtype=int)
        np.testing.assert_array_equal(xor, xnor)
        np.testing.assert_array_equal(xor, (signs(-1.0 * a) * signs(-1.0 * b)).sum(axis=1))


@pytest.mark.parametrize(("bases", "shifts"), [(1, (0.0,)), (3, (-0.5, 0.0, 0.7))])
def test_abc_net(bases, shifts):
    w, x, layers = weights(), real_input(), LayerBuilder()
    betas = [0.7, 0.2, 0.4][: len(shifts)]
    y = layers.abc_net(layers.input(SHAPE), w, bases, shifts, betas, padding=AROUND)
    (actual,) = run(layers.graph(y), x)
    base, alphas = abc_bases(w, bases)
    wanted = None
    for alpha, b in zip(alphas, base, strict=True):
        for beta, shift in zip(betas, shifts, strict=True):
            activation = np.where(x < FLOAT(0.5) - FLOAT(shift), -1, 1)
            part = affine(convolve(activation, b), FLOAT(alpha * beta), 9 * 37)
            wanted = part if wanted is None else wanted + part
    np.testing.assert_array_equal(actual, wanted)


def test_abc_alphas_are_the_best_of_their_bases():
    """No worse than any subset of the same bases."""
    w = weights(3)
    base, alphas = abc_bases(w, 4)
    error = np.square(w - sum(a * b for a, b in zip(alphas, base, strict=True))).sum()
    for subset in range(1, 16):
        chosen = [b.reshape(-1) for i, b in enumerate(base) if subset >> i & 1]
        matrix = np.stack(chosen, axis=1)
        best = np.linalg.lstsq(matrix, w.reshape(-1), rcond=None)[0]
        assert error <= np.square(w.reshape(-1) - matrix @ best).sum() + 1e-9


def test_rbnn_is_a_binary_layer_of_other_signs():
    w, x, layers = weights(), real_input(), LayerBuilder()
    rng = np.random.default_rng(5)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (9, 37))
    part = np.abs(np.sin(rng.normal(size=len(w))))
    turned = rbnn_weights(w, left, right, part)
    flat = w[2].reshape(9, 37).astype(np.float64)
    rotated = np.kron(left, right).T @ flat.reshape(-1)
    mixed = flat.reshape(-1) * (1 - part[2]) + rotated * part[2]
    np.testing.assert_allclose(turned[2].reshape(-1), mixed, atol=1e-12)
    y = layers.sign_conv2d(layers.binarize(layers.input(SHAPE)), turned, padding=AROUND)
    wanted = convolve(signs(x), signs(turned), outside=1)
    np.testing.assert_array_equal(run(layers.graph(y), x)[0], wanted)


def test_binary_connect_adds_and_subtracts():
    w, layers = weights(), LayerBuilder()
    x = np.random.default_rng(2).integers(-128, 128, SHAPE, np.int8)
    y = layers.binary_connect(layers.input(SHAPE, "int8", 0.05, -7), w, padding=AROUND)
    sums = convolve(x.astype(int) + 7, signs(w))
    np.testing.assert_array_equal(run(layers.graph(y), x)[0], affine(sums, FLOAT(0.05)))


@pytest.mark.parametrize(("m", "k"), [(1, 1), (2, 3), (4, 2)])
def test_dorefa(m, k):
    w, layers = weights(), LayerBuilder()
    x = np.random.default_rng(2).integers(0, 1 << m, SHAPE).astype(np.int8)
    y = layers.dorefa(layers.input(SHAPE, "int8", 1.0), w, m, k, padding=AROUND)
    whole, scale = dorefa_weights(w, k)
    top = (1 << k) - 1
    assert set(np.unique(np.abs(whole))) <= set(range(1, top + 1, 2)) | {1}
    if k > 1:  # the paper's own rounding, as real numbers
        squashed = np.tanh(w) / (2 * np.abs(np.tanh(w)).max()) + 0.5
        np.testing.assert_allclose(whole * scale, 2 * np.round(squashed * top) / top - 1, atol=1e-6)
    wanted = affine(convolve(x, whole), FLOAT(scale / ((1 << m) - 1)))
    np.testing.assert_array_equal(run(layers.graph(y), x)[0], wanted)


def test_ternary():
    w, layers = weights(), LayerBuilder()
    x = np.random.default_rng(2).integers(-1, 2, SHAPE).astype(np.int8)
    y = layers.ternary(layers.input(SHAPE, "int8", 1.0), w, padding=AROUND)
    whole, alpha = ternary_weights(w)
    assert set(np.unique(whole)) == {-1, 0, 1}
    one = np.abs(w[4])
    assert alpha[4] == pytest.approx(one[one > 0.7 * one.mean()].mean())
    wanted = affine(convolve(x, whole), alpha)
    np.testing.assert_array_equal(run(layers.graph(y), x)[0], wanted)
    # by planes of what isn't zero and of signs, as it is counted elsewhere
    a, b = x.reshape(-1)[:999], whole.reshape(-1)[:999]
    both = (a != 0) & (b != 0)
    assert (a * b).sum() == both.sum() - 2 * (both & ((a < 0) ^ (b < 0))).sum()


def drawn_norm(filters: int) -> list[np.ndarray]:
    """gamma (some negative, one 0), beta, mean, variance."""
    rng = np.random.default_rng(8)
    gamma = rng.normal(size=filters)
    gamma[3] = 0
    return [gamma, rng.normal(size=filters), rng.normal(size=filters) * 9, rng.random(filters) * 90]


def test_phone_bit_is_convolution_norm_and_sign():
    w, x, norm = weights(), real_input(), drawn_norm(9)
    layers = LayerBuilder()
    fused = layers.phone_bit(layers.binarize(layers.input(SHAPE)), w, norm, padding=AROUND)
    (words,) = run(layers.graph(fused), x)
    gamma, beta, mean, variance = norm
    real = gamma * (convolve(signs(x), signs(w), 1) - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_array_equal(bits.unpack(words, 9), real < 0)


def test_phone_bit_never_holds_sums():
    """Unfused, the arena has room for the map of sums; fused, for input, bits and one window."""

    def arena(fused: bool) -> int:
        layers, w = LayerBuilder(), weights(channels=32, filters=32)
        x = layers.binarize(layers.input((1, 16, 16, 32)))
        if fused:
            y = layers.phone_bit(x, w, drawn_norm(32), padding=AROUND)
        else:
            y = layers.binarize(layers.sign_conv2d(x, w, padding=AROUND))
        # From the packed input on: what comes before it is the same.
        graph = layers.graph(y)
        nodes = [node for node in graph.nodes if node.outputs[0] != x]
        inner = graph.with_nodes(nodes, inputs=(x,))
        return compile_graph(inner, "cortex-m4", Options(strategy="layers")).arena_bytes

    sums, packed = 16 * 16 * 32 * 4, 16 * 16 * 4
    assert arena(False) >= sums
    assert arena(True) < 2 * packed + 512


def test_a_slope_of_zero_leaves_a_constant():
    norm = [np.zeros(2), np.array([-1.0, 0.0]), np.ones(2), np.ones(2)]
    limits, flipped = fold_sign(norm, 1e-3, 90)
    assert limits.tolist() == [-1, 90] and not flipped.any()


def frac_parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    level = np.round((np.clip(x, -1, 1) + 1) * 1.5)
    return np.where(level >= 2, 1, -1), np.where(level % 2 == 1, 1, -1)


@pytest.mark.parametrize("delta", [-1e6, 1e6, 0.0, "drawn"])
def test_frac_bnn(delta):
    """Open gates make it the 2-bit convolution, closed ones 2/3 of the binary one."""
    w, x, layers = weights(), real_input(), LayerBuilder()
    limits = np.random.default_rng(3).normal(size=9) * 9 if delta == "drawn" else np.full(9, delta)
    y = layers.frac_bnn(layers.input(SHAPE), w, limits, padding=AROUND)
    (actual,) = run(layers.graph(y), x)
    b1, b0 = frac_parts(x)
    high, low = (convolve(b, signs(w), outside=1) for b in (b1, b0))
    sums = 2 * high + np.where(high * 2 / 3 > limits, low, 0)
    np.testing.assert_array_equal(actual, affine(sums, FLOAT(1 / 3), 3 * 9 * 37))
    if delta == -1e6:
        np.testing.assert_array_equal(sums, convolve(2 * b1 + b0, signs(w), outside=3))
    if delta == 1e6:
        np.testing.assert_array_equal(sums, 2 * high)


@pytest.mark.parametrize("resolution", [4, 8, 40])
def test_thermometer(resolution):
    shape = (1, 16, 16, 1)
    x, layers = np.arange(256).reshape(shape), LayerBuilder()
    planes = layers.thermometer(layers.input(shape, "int8", 1.0), resolution)
    (words,) = run(layers.graph(planes), (x - 128).astype(np.int8))
    count = round(255 / resolution)
    height = np.floor(x / resolution + 0.5)  # rounded, half up
    np.testing.assert_array_equal(bits.unpack(words, count), np.arange(count) >= height)


# ---- every core --------------------------------------------------------------------------------


def random_layers(layers: LayerBuilder, packed: int, q: int) -> list[int]:
    """Any windows over bits, and over whole numbers as planes."""
    rng, made = np.random.default_rng(11), []
    for number in range(10):
        kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(3))
        around = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        before = [int(rng.integers(0, most + 1)) for most in around]
        after = [most - part for most, part in zip(around, before, strict=True)]
        padding = Padding(before[0], after[0], before[1], after[1])
        w = rng.normal(size=(int(rng.integers(1, 40)), *kernel, SHAPE[3]))
        window = {"stride": stride, "padding": padding}
        if number % 3 == 2:
            made.append(layers.integer_conv2d(q, dorefa_weights(w, 2)[0], 9, **window))
            continue
        limits = {} if number % 3 else {"thresholds": rng.integers(0, w[0].size, len(w))}
        window |= {"dilation": dilation, "pad_value": (1, -1, 0, 1)[number % 4]}
        made.append(layers.sign_conv2d(packed, w, **window, **limits))
    return made


def dense(layers: LayerBuilder, packed: int, w: np.ndarray) -> int:
    """A dense layer over the words of each pixel."""
    rows = layers.constant(bits.pack(w[:, 0, 0] < 0), BINARY)
    return layers.add_node("bdense", BDense(SHAPE[3]), (packed, rows, None, None, None, None))


def all_layers() -> Graph:
    """Every layer over one float and one int8 input, and layers of any geometry, in one graph."""
    layers, w = LayerBuilder(), weights(7, filters=5)
    x, q = layers.input(SHAPE), layers.input(SHAPE, "int8", 0.05, -7)
    small = layers.input(SHAPE, "int8", 1.0)
    packed = layers.binarize(x)
    rotations = (np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0] for n in (9, 37))
    rotated = rbnn_weights(w, *rotations, np.linspace(0, 1, 5))
    outputs = [
        layers.xnor_net(x, w, padding=AROUND),
        layers.abc_net(x, w, 2, (0.0, 0.3), (0.5, 0.4), padding=AROUND),
        layers.sign_conv2d(packed, rotated, padding=AROUND),
        layers.sign_conv2d(packed, w, padding=AROUND, pad_value=-1, dilation=(1, 2)),
        layers.binary_connect(q, w, padding=AROUND),
        layers.dorefa(small, w, 2, 3, padding=AROUND),
        layers.dorefa(small, w, 1, 1, stride=(2, 2)),
        layers.integer_conv2d(q, dorefa_weights(w, 2)[0], 9, stride=(2, 2)),
        layers.ternary(small, w, padding=AROUND),
        layers.phone_bit(packed, w, drawn_norm(5), padding=AROUND),
        layers.frac_bnn(x, w, np.linspace(-9, 9, 5), padding=AROUND),
        layers.thermometer(q, 40),
        *(layers.binarize(q, limit) for limit in (-128, -127, 128)),
        dense(layers, packed, w),
        *random_layers(layers, packed, q),
    ]
    return layers.graph(*outputs)


CORES = ["host", "cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc", "fpga-sim"]


@pytest.mark.parametrize("target", CORES)
def test_every_core_agrees(target):
    graph = all_layers()
    rng = np.random.default_rng(2)
    q, small = rng.integers(-128, 128, SHAPE, np.int8), rng.integers(0, 2, SHAPE).astype(np.int8)
    inputs = real_input(), q, small
    wanted = find_backend("reference").build(compile_graph(graph, "reference")).run(inputs)
    try:
        executor = find_backend(target).build(compile_graph(graph, target))
    except MissingTool as error:
        pytest.skip(str(error))
    try:
        for actual, expected in zip(executor.run(inputs), wanted, strict=True):
            assert actual.tobytes() == expected.tobytes()
        if target == "fpga-sim":  # bits to bits, padded with +1 or not at all
            items = [executor.program.items[number] for number in executor.tiles]
            ops = [executor.program.graph.nodes[item.node].op for item in items]
            assert ops == ["bconv2d"] * 3
    finally:
        executor.close()
