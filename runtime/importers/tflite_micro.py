"""Readers of the custom operators that TFLM's resolver has. (tensorflow/lite/micro/kernels.)

CIRCULAR_BUFFER keeps the last rows that it was given, its output, from one inference to the next
(circular_buffer.cc; `tflite_cycles.py` has the inferences that it ends). BasicClassifier picks some
of its numbers and asks of each whether it reaches its threshold, which is GATHER and GREATER_EQUAL
(basic_classifier.cc). Ethos-U's operator is a program for that accelerator, and has no numbers that
anybody else could compute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from flatbuffers import flexbuffers

from ..attributes import Slide
from ..detection import Detection
from . import tflite_custom
from .tflite_file import FileModel, FileOperator, FileTensor, Malformed
from .tflite_reading import Parts, Reader, Reading, Unsupported

CIRCULAR_BUFFER = "CIRCULAR_BUFFER"
CLASSIFIER = "BasicClassifier"
DETECTION = "TFLite_Detection_PostProcess"
MOST_DETECTIONS = 1 << 16
_NUMBERS = (
    "max_detections max_classes_per_detection detections_per_class use_regular_nms num_classes "
    "nms_score_threshold nms_iou_threshold y_scale x_scale h_scale w_scale"
).split()
_EVERY_TIME = (5, 13, 25)  # rows at which TFLM takes no cycles_max for 1
_FIFTH = (2, 96)  # columns and channels with which it does so at the fifth without


def with_micro(model: FileModel) -> FileModel:
    """The model with a state for each circular buffer, its first operand from then on, with floats
    for each detector, and other operators for each classifier."""
    tensors, states = list(model.tensors), set(model.states)
    operators: list[FileOperator] = []
    for operator in model.operators:
        if operator.custom_code == DETECTION:
            operator = _with_floats(operator, tensors, operators)
        if _is_classifier(operator):
            operator = _compared(operator, tensors, operators)
        if operator.custom_code == CIRCULAR_BUFFER and len(operator.outputs) == 1:
            (output,) = operator.outputs
            state = len(tensors)
            tensors.append(replace(tensors[output], index=state, variable=True))
            tensors[output] = replace(tensors[output], variable=False)
            states.add(state)
            operator = replace(operator, inputs=(state, *operator.inputs))
        operators.append(operator)
    if len(operators) == len(model.operators) and len(tensors) == len(model.tensors):
        return model
    return replace(
        model, tensors=tuple(tensors), operators=tuple(operators), states=frozenset(states)
    )


def _with_floats(
    operator: FileOperator, tensors: list[FileTensor], operators: list[FileOperator]
) -> FileOperator:
    """The operator on floats, after what makes floats of its quantized operands."""
    inputs = []
    for index in operator.inputs:
        if index >= 0 and tensors[index].type in ("INT8", "UINT8"):
            made = len(tensors)
            name, shape = tensors[index].name, tensors[index].shape
            tensors.append(
                FileTensor(made, name, shape, "FLOAT32", None, None, False, False, False)
            )
            operators.append(
                replace(
                    operator, code="DEQUANTIZE", custom_code="", version=1, inputs=(index,),
                    outputs=(made,),
                )
            )  # fmt: skip
            index = made
        inputs.append(index)
    return replace(operator, inputs=tuple(inputs))


def _is_classifier(operator: FileOperator) -> bool:
    known = operator.code == "CUSTOM" and operator.custom_code == CLASSIFIER
    return known and (len(operator.inputs), len(operator.outputs)) == (3, 2)


def _compared(
    operator: FileOperator, tensors: list[FileTensor], operators: list[FileOperator]
) -> FileOperator:
    """A classifier's comparison, after what picks its numbers, by their place in one or two axes.

    Operands: numbers, places, thresholds; outputs: those that reach theirs, and the numbers.
    """
    numbers, places, thresholds = operator.inputs
    reached, picked = operator.outputs
    plain = replace(operator, custom_code="", version=1, options=None)
    if len(tensors[numbers].shape) > 1:
        flat = math.prod(tensors[numbers].shape)
        made = len(tensors)
        shape = np.array([flat], np.int32).view(np.uint8)
        source = replace(tensors[numbers], data=None, variable=False)
        tensors.append(replace(source, index=made, shape=(flat,)))
        tensors.append(
            FileTensor(made + 1, "shape", (1,), "INT32", None, shape, False, False, False)
        )
        operators.append(
            replace(plain, code="RESHAPE", inputs=(numbers, made + 1), outputs=(made,))
        )
        numbers = made
    operators.append(replace(plain, code="GATHER", inputs=(numbers, places), outputs=(picked,)))
    return replace(plain, code="GREATER_EQUAL", inputs=(picked, thresholds), outputs=(reached,))


def circular_buffer(node: Reading) -> Parts:
    """Operands: state, a row."""
    state, x = node.tensor(0), node.image(1)
    node.same_type(0, 1)
    if len(state.shape) != 4:
        raise Malformed(f"its output must have 4 axes, not {len(state.shape)}")
    wanted = (x.shape[0], state.shape[1], *x.shape[2:])
    if x.shape[1] != 1 or state.shape != wanted:
        raise Malformed(f"it can't keep rows of {list(x.shape)} in {list(state.shape)}")
    _cycles_max(node.operator)
    return Parts("slide", Slide(state.shape[1] - 1, 1), node.operands(0, 1))


def cycles_of(model: FileModel) -> dict[int, int]:
    """Output of a circular buffer -> of how many inferences it lets one go on."""
    found, unsaid = {}, 0
    for operator in model.operators:
        if operator.custom_code != CIRCULAR_BUFFER:
            continue
        (output,) = operator.outputs
        cycles = _cycles_max(operator)
        if cycles <= 0:
            unsaid += 1
            shape = model.tensors[output].shape
            every_time = shape[1] in _EVERY_TIME or (unsaid == 5 and shape[2:] == _FIFTH)
            cycles, unsaid = (1, 0) if every_time else (2, unsaid)
        found[output] = cycles
    return found


def _cycles_max(operator: FileOperator) -> int:
    options = dict(tflite_custom.options(operator.custom_options).values)
    cycles = options.get("cycles_max", 0)
    if not isinstance(cycles, int) or cycles >= 1 << 31:
        raise Malformed(f"cycles_max must be a whole number of int32, not {cycles!r}")
    return cycles


def detection(node: Reading) -> Parts:
    """Operands: encoded boxes, scores, anchors. Of its options only the known are looked at."""
    found = _wanted(node.operator.custom_options)
    if found.get("max_classes_per_detection", 1) != 1:
        raise Unsupported(
            "it makes several classes of a box (max_classes_per_detection)", "set that to 1"
        )
    try:
        scales = tuple(float(found[f"{name}_scale"]) for name in ("y", "x", "h", "w"))
        attrs = Detection(
            most=int(found["max_detections"]),
            classes=int(found["num_classes"]),
            per_class=int(found.get("detections_per_class", 100)),
            regular=bool(found.get("use_regular_nms", 0)),
            least_score=float(found["nms_score_threshold"]),
            most_overlap=float(found["nms_iou_threshold"]),
            scales=(scales[0], scales[1], scales[2], scales[3]),
        )
    except KeyError as error:
        raise Malformed(f"its options lack {error.args[0]}") from error
    if min(attrs.most, attrs.per_class, attrs.classes) < 1 or attrs.most > MOST_DETECTIONS:
        raise Malformed(
            f"{attrs.most} detections of {attrs.classes} classes, {attrs.per_class} of each, are "
            f"not 1 to {MOST_DETECTIONS}"
        )
    if not 0 < attrs.most_overlap <= 1 or 0 in scales or not all(map(math.isfinite, scales)):
        raise Malformed(
            f"an overlap of {attrs.most_overlap} or the scales {list(scales)} are out of range"
        )
    return Parts("detection", attrs, node.operands(0, 1, 2))


def _wanted(content: bytes) -> dict[str, float]:
    """The numbers of `_NUMBERS` in a FlexBuffer map that has others, too."""
    try:
        values = flexbuffers.GetRoot(content).AsMap
        if len(values) > tflite_custom.MOST_OPTIONS:
            raise Malformed(f"its custom options have {len(values)} entries")
        names = [bytes(key.AsKeyBytes).decode("ascii") for key in values.Keys]
        known = [(name, value) for name, value in zip(names, values.Values) if name in _NUMBERS]
        return {name: v.AsFloat if v.IsFloat else int(v.AsInt) for name, v in known}
    except tflite_custom.DAMAGE as error:
        raise Malformed("its custom options are damaged: not a FlexBuffer map") from error


def ethos_u(node: Reading) -> Parts:
    raise Unsupported(
        "it is a program for an Ethos-U accelerator, which Vela made of some of the model's nodes",
        "give midge the .tflite file that Vela was given",
    )


READERS: Mapping[str, Reader] = {
    DETECTION: Reader(detection, None, 1, (3, 3), 4),
    CIRCULAR_BUFFER: Reader(circular_buffer, None, 1, (2, 2)),
    "ethos-u": Reader(ethos_u, None, 1 << 30, (0, 1 << 30), None),
}
