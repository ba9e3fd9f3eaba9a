"""Stretches of a program that stay on the chip: addresses for tensors, weights and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...hw.driver import TileJob
from ...hw.jobs import AnyJob, Job
from ...hw.machine import REGION_BYTES, Machine
from ...hw.queue import Place, Stretch
from ...runtime.errors import TargetError
from ...runtime.graph import Graph
from .layers import as_image, flat_convolution, layer_jobs, octets, operands


@dataclass(frozen=True, eq=False)
class Layer:
    """A node on the accelerator, with its tensors' roots (a reshape's output is its input)."""

    node: int
    tiles: list[TileJob]
    inputs: tuple[int, ...]
    output: int
    pitch: int = 0  # of the input's rows, if they are not dense


class DoesNotFit(TargetError):
    """The layers need more than the chip has."""


def roots(graph: Graph) -> dict[int, int]:
    """Tensor -> the tensor whose bytes it is."""
    found = {index: index for index in graph.tensors}
    for node in graph.nodes:
        if node.op == "reshape":
            found[node.outputs[0]] = found[node.operands[0]]
    return found


def layer_of(graph: Graph, number: int, machine: Machine) -> Layer:
    """A node's layer, as if the scratchpad had room for all; `TargetError` if there is none."""
    node, root = graph.nodes[number], roots(graph)
    wide = replace(machine, activation_bytes=REGION_BYTES)
    tiles = layer_jobs(graph, node, wide)
    inputs = tuple(root[index] for index in operands(graph, node))
    if any(graph.tensors[index].data is not None for index in inputs):
        raise TargetError("an operand is constant")
    return Layer(number, tiles, inputs, root[node.outputs[0]])


def make_stretch(graph: Graph, layers: Sequence[Layer], machine: Machine) -> Stretch:
    """The layers as one stretch; `DoesNotFit` if the chip has not the room."""
    made = {layer.output for layer in layers}
    taken = [index for layer in layers for index in layer.inputs]
    inputs = [index for index in dict.fromkeys(taken) if index not in made]
    outputs = [index for index in dict.fromkeys(layer.output for layer in layers)
               if _is_used_outside(graph, index, layers)]  # fmt: skip
    layers = [_flattened(graph, layer, inputs, taken, machine) for layer in layers]
    pitches = {layer.inputs[0]: layer.pitch for layer in layers if layer.pitch}
    sizes = {index: _size(graph, index, pitches, machine) for index in {*made, *inputs}}
    addresses = _pack(layers, inputs, outputs, sizes, machine)
    jobs, weights, parameters = _place_jobs(graph, layers, addresses, machine)
    for job in jobs:
        job.check(machine)
    return Stretch(
        machine,
        tuple(_place(graph, index, addresses[index], pitches) for index in inputs),
        tuple(_place(graph, index, addresses[index], {}) for index in outputs),
        tuple(jobs),
        weights,
        parameters,
        tuple(layer.node for layer in layers for tile in layer.tiles for _ in tile.jobs),
    )


def _flattened(
    graph: Graph, layer: Layer, inputs: Sequence[int], taken: Sequence[int], machine: Machine
) -> Layer:
    """The layer with its input's rows drawn into one, if that takes fewer array loads.

    Only for an input of the stretch that nothing else reads: its rows must be set apart.
    """
    x = layer.inputs[0]
    if graph.nodes[layer.node].op != "conv2d" or x not in inputs or taken.count(x) > 1:
        return layer
    try:
        tile, pitch = flat_convolution(graph, graph.nodes[layer.node], machine)
    except TargetError:
        return layer
    loads = [sum(_loads(tile.job, machine) for tile in tiles) for tiles in (layer.tiles, [tile])]
    return replace(layer, tiles=[tile], pitch=pitch) if loads[1] < loads[0] else layer


def _loads(job: AnyJob, machine: Machine) -> int:
    assert isinstance(job, Job)
    return job.pixels * job.depth_tiles(machine) * job.column_tiles(machine)


def _is_used_outside(graph: Graph, tensor: int, layers: Sequence[Layer]) -> bool:
    root, inside = roots(graph), {layer.node for layer in layers}
    if any(root[index] == tensor for index in graph.outputs):
        return True
    return any(
        root[index] == tensor
        for number, node in enumerate(graph.nodes)
        if number not in inside and node.op != "reshape"
        for index in node.operands
        if index is not None and index >= 0
    )


def _size(graph: Graph, index: int, pitches: Mapping[int, int], machine: Machine) -> int:
    tensor = graph.tensors[index]
    size = tensor.shape[1] * pitches[index] if index in pitches else octets(tensor)
    return -(-size // machine.word_bytes) * machine.word_bytes


def _place(graph: Graph, index: int, address: int, pitches: Mapping[int, int]) -> Place:
    tensor = graph.tensors[index]
    if index not in pitches:
        return Place(index, address, 1, octets(tensor), octets(tensor))
    row = tensor.shape[2] * tensor.shape[3]
    return Place(index, address, tensor.shape[1], row, pitches[index], tensor.zero_point)


def _pack(
    layers: Sequence[Layer], inputs: Sequence[int], outputs: Sequence[int],
    sizes: Mapping[int, int], machine: Machine,
) -> dict[int, int]:  # fmt: skip
    """Tensor -> address: each at the first gap that is free as long as it lives."""
    born = dict.fromkeys(inputs, -1) | {layer.output: at for at, layer in enumerate(layers)}
    dies = dict(born)
    for at, layer in enumerate(layers):
        dies |= dict.fromkeys(layer.inputs, at)
    dies |= dict.fromkeys(outputs, len(layers))
    addresses: dict[int, int] = {}
    for index in sorted(sizes, key=lambda index: (born[index], -sizes[index])):
        at = 0
        for other in sorted(addresses, key=addresses.__getitem__):
            if born[other] > dies[index] or dies[other] < born[index]:
                continue
            if addresses[other] - at >= sizes[index]:
                break
            at = max(at, addresses[other] + sizes[other])
        if at + sizes[index] > machine.activation_bytes:
            raise DoesNotFit(f"the tensors need {at + sizes[index]} bytes at once")
        addresses[index] = at
    return addresses


def _place_jobs(
    graph: Graph, layers: Sequence[Layer], addresses: Mapping[int, int], machine: Machine
) -> tuple[list[AnyJob], np.ndarray, np.ndarray]:
    jobs: list[AnyJob] = []
    weights: list[np.ndarray] = []
    parameters: list[np.ndarray] = []
    word, group = 0, 0
    for layer in layers:
        first: tuple[int, int] = (0, 0)
        previous: TileJob | None = None
        for tile in layer.tiles:
            if previous is None or tile.weights is not previous.weights:
                first = (word, group)
                weights.append(tile.weights)
                parameters.append(tile.parameters)
                word += len(tile.weights) * 4 // machine.weight_word_bytes
                group += len(tile.parameters) * 4 // machine.parameter_tile_bytes
            previous = tile
            jobs += [_moved(graph, layer, tile, job, addresses, first) for job in tile.jobs]
    if word > machine.weight_words or group > machine.parameter_tiles:
        raise DoesNotFit(f"the layers need {word} weight words and {group} parameter tiles")
    return jobs, np.concatenate(weights), np.concatenate(parameters)


def _moved(
    graph: Graph, layer: Layer, tile: TileJob, job: AnyJob, addresses: Mapping[int, int],
    first: tuple[int, int],
) -> AnyJob:  # fmt: skip
    """A tile's job with the addresses that its tensors and constants have in the stretch."""
    node = graph.nodes[layer.node]
    _, width, channels = as_image(graph, node, node.outputs[0])
    output = addresses[layer.output]
    output += (tile.output_rows[0] * width) * channels + tile.output_channels[0]
    changes = {
        "output_address": output + job.output_address - tile.output_address,
        "weight_address": job.weight_address + first[0],
        "parameter_address": job.parameter_address + first[1],
    }
    for name, piece in zip(("input_address", "second_address"), tile.inputs, strict=False):
        _, image_w, image_c = as_image(graph, node, node.operands[piece.operand])
        inside = getattr(job, name) - piece.address
        start = 0 if layer.pitch else piece.rows[0] * image_w * image_c
        changes[name] = addresses[layer.inputs[piece.operand]] + start + inside
    if isinstance(job, Job):
        changes["output_pitch"] = channels
    return replace(job, **changes)
