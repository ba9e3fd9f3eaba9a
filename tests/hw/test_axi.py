"""Random networks on the whole accelerator, between models of an AXI bus's other ends."""

import hypothesis
import numpy as np
import pytest
from hw_blocks import with_ids
from random_networks import networks

from midge.hw.machine import Machine
from midge.kernels.reference import ReferenceExecutor
from midge.runtime.pipeline import compile_model
from midge.tools.arguments import random_inputs

MACHINES = {
    "4x4": Machine(
        rows=4, columns=4, activation_bytes=2048, weight_words=256, accumulators=64,
        parameter_tiles=32, queue_jobs=1, line_pixels=16, binary=0,
    ),
    "8x3": Machine(
        rows=8, columns=3, activation_bytes=4096, weight_words=512, accumulators=128,
        parameter_tiles=64, queue_jobs=2, line_pixels=32, binary=0,
    ),
}  # fmt: skip
CYCLES = 1000  # of a network's jobs at most, by the cost model: Icarus is slow
OPERATORS = {
    "conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d", "add", "fully_connected"
}  # fmt: skip


def parts_of(program, machine):
    """Stretches and layers with what they read and make, by the reference.

    ([(stretch, inputs, outputs)], {operator: (jobs, operands, output)})
    """
    from midge.targets.fpga.backend import Resident, divide, tiled
    from midge.targets.fpga.layers import as_image, operands

    graph = program.graph
    inputs = random_inputs(graph, 1)
    values = dict(zip(graph.inputs, inputs, strict=True))
    values |= {tensor: value for _, tensor, value in ReferenceExecutor(program).trace(inputs)}
    flat = {tensor: value.reshape(-1).view(np.int8) for tensor, value in values.items()}
    jobs = tiled(program, machine)
    stretches = [
        (part.stretch, *([flat[place.tensor] for place in places]
                         for places in (part.stretch.inputs, part.stretch.outputs)))
        for part in divide(program, machine, jobs) if isinstance(part, Resident)
    ]  # fmt: skip
    layers = {}
    for number, tiles in jobs.items():
        node = graph.nodes[program.items[number].node]
        images = [flat[at].reshape(as_image(graph, node, at)) for at in operands(graph, node)]
        output = flat[node.outputs[0]].reshape(as_image(graph, node, node.outputs[0]))
        layers[node.op] = (tiles, images, output)
    return stretches, layers


def draw(machine):
    """Few small networks with all operators among them, and a layer of each operator."""
    from midge.targets.fpga.cost import estimate_cycles

    data = {"machine": machine, "stretches": [], "layers": []}
    missing = set(OPERATORS)

    @hypothesis.settings(max_examples=300, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(networks())
    def collect(content):
        if not missing:
            return
        stretches, layers = parts_of(compile_model(content, "fpga-sim"), machine)
        jobs = [job for stretch, _, _ in stretches for job in stretch.jobs]
        if sum(estimate_cycles(job, machine) for job in jobs) > CYCLES:
            return
        if found := missing & {*layers}:
            missing.difference_update(found)
            data["stretches"] += stretches
            data["layers"] += [layers[operator] for operator in sorted(found)]

    collect()
    assert not missing, f"no network of those drawn has {missing}"
    return data


@pytest.mark.parametrize(
    ("size", "patterns"),
    [("4x4", ("streaming", "both")), ("8x3", ("idle", "back-pressure"))],
    ids=MACHINES,
)
def test_random_networks(run_cocotb, size, patterns):
    pytest.importorskip("cocotbext.axi")
    pytest.importorskip("amaranth")
    machine = MACHINES[size]
    from midge.hw.axi import AxiAccelerator

    run_cocotb(
        with_ids(AxiAccelerator(machine)), "cocotb_axi", draw(machine) | {"patterns": patterns}
    )
