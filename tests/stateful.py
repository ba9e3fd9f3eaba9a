"""Operators that keep a state, three ways over several inferences: answers and states alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from native_call import run_native
from one_operator import read_operator
from oracle import random_inputs, reference_interpreter

from midge.kernels import table
from midge.runtime.graph import DTYPES

Arrays = list[np.ndarray]


def tflite_runs(model: bytes, runs: Sequence[np.ndarray], states: Sequence[int]) -> list[Arrays]:
    """For each inference by TFLite's reference kernels: the output, then the state tensors."""
    interpreter = reference_interpreter(model)
    (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for value in runs:
        interpreter.set_tensor(x["index"], value)
        interpreter.invoke()
        found.append([interpreter.get_tensor(index) for index in (y["index"], *states)])
    return found


def assert_states_are_carried(model: bytes, seed: int = 0, count: int = 3) -> None:
    """Reference and native kernel give TFLite's bits in each of `count` inferences in a row."""
    graph, node = read_operator(model)
    assert table.refusal(graph, node, 0) is None
    states = [index for index in node.operands if graph.tensors[index].variable]
    runs = [random_inputs(model, seed + i)[0] for i in range(count)]
    wanted = tflite_runs(model, runs, states)
    kernels: dict[str, Callable[[Arrays], Arrays]] = {
        "reference": partial(table.OPERATIONS[node.op].reference, graph, node),
        "native": partial(run_native, graph, node),
    }
    for name, run in kernels.items():
        arrays = {i: t.data for i, t in graph.tensors.items() if t.constant}
        for index in states:
            tensor = graph.tensors[index]
            start = tensor.zero_point if tensor.quantization else 0
            arrays[index] = np.full(tensor.shape, start, DTYPES[tensor.dtype])
        for number, x in enumerate(runs):
            arrays[node.inputs[0]] = x.reshape(graph.input(node).shape)
            (y,) = run([None if index is None else arrays[index] for index in node.inputs])
            y = y.reshape(wanted[number][0].shape)
            actual = [y, *(arrays[index] for index in states)]
            for part, ours, theirs in zip(["output", *states], actual, wanted[number], strict=True):
                assert ours.dtype == theirs.dtype
                message = f"{name}, inference {number}, {part}"
                np.testing.assert_array_equal(ours, theirs, err_msg=message)
