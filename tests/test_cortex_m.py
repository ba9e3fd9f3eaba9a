"""Programs as C on an emulated Cortex-M4: bits, exact instruction counts, sizes, and what fails."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import build_tflite as build
import numpy as np
import pytest
from c_call import aligned, compile_library
from cores import assert_pure
from oracle import random_inputs

from cases import model as model_case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.backend import find_backend
from midge.runtime.errors import ExecutionError, ModelError, TargetError, ToolError
from midge.runtime.graph import Node
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.program import Loop, Program
from midge.sim import qemu
from midge.targets import boards
from midge.targets.cortex_m import sources
from midge.targets.cortex_m.backend import CortexMBackend, CortexMExecutor, write_sources
from midge.targets.cortex_m.printer import model_under_test, print_model
from midge.targets.cortex_m.sources import CSRC, c_name
from midge.targets.cortex_m.toolchain import FIRMWARE, compile_files, harness_files, link_firmware
from midge.tools.cli import main
from midge.tools.core_figures import parameter_bytes
from midge.tools.zoo import find_model

BOARD = boards.find_board("mps2-an386")
TARGET = "cortex-m4"
DIGITS = model_case("digits")
ALLOWED_INCLUDES = {"<stddef.h>", "<stdint.h>", "<string.h>", "<arm_mve.h>"}  # the compiler's own

try:
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm", "gcc"):
        qemu.find_tool(tool)
except ToolError as error:
    pytest.skip(str(error), allow_module_level=True)


def compiled(model: bytes, **options: object) -> Program:
    return compile_model(model, TARGET, Options(**options))


def expected(model: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    return ReferenceBackend().build(compile_model(model, "reference")).run(inputs)


def assert_same(actual: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for a, w in zip(actual, wanted, strict=True):
        assert a.dtype == w.dtype
        np.testing.assert_array_equal(a, w)


@pytest.fixture(scope="module")
def digits() -> Iterator[CortexMExecutor]:
    executor = CortexMBackend(TARGET).build(compiled(DIGITS.model()))
    yield executor
    executor.close()


def run_source(source: str, folder: Path, timeout_s: float = 60.0) -> bytes:
    """Build a firmware of this main program and what the harness has; what it wrote."""
    main = folder / "under_test.c"
    main.write_text(source)
    files = [main, *harness_files(BOARD, ())]
    elf = link_firmware(compile_files(files, [FIRMWARE], BOARD, folder), BOARD, folder, "f.elf")
    emulator = BOARD.emulator
    qemu.run_firmware(
        elf, emulator.program, emulator.machine, folder, emulator.icount_shift, timeout_s
    )
    output = folder / "output.bin"
    return output.read_bytes() if output.exists() else b""


# ---- the count ---------------------------------------------------------------------------------


def test_count_is_exact(tmp_path):
    """Loops of 2 instructions a pass; the last one outlasts the 32-bit timer."""
    content = run_source((FIRMWARE / "calibrate.c").read_text(), tmp_path)
    records = np.frombuffer(content, "<u8").reshape(-1, 3)
    scale = BOARD.emulator.ticks_per_instruction
    counted = {int(n): round(spent / scale) - round(call / scale) for n, spent, call in records}
    passes = (1, 2, 3, 10**3, 10**6, 10**7, 10**9)
    assert counted == {n: 2 * n for n in passes}
    assert max(int(spent) for _, spent, _ in records) > 2**32


def test_counts_repeat(digits):
    inputs = random_inputs(DIGITS.model(), 0)
    counts = []
    for _ in range(2):
        digits.run(inputs)
        counts.append(digits.measurement.instructions)
    assert counts[0] == counts[1] > 10_000


# ---- the bits ----------------------------------------------------------------------------------


def test_many_inferences_in_one_run(digits):
    model = DIGITS.model()
    batch = [random_inputs(model, seed) for seed in range(5)]
    for inputs, outputs in zip(batch, digits.run_many(batch), strict=True):
        assert_same(outputs, expected(model, inputs))


def test_keyword_is_found(shared):
    """The real recording of the MLPerf Tiny keyword: class 5, certain."""
    model = model_case("kws_ref_model").model()
    recording = np.load(shared / "inputs" / "kws_ref_model.npy")
    executor = CortexMBackend(TARGET).build(compiled(model))
    (scores,) = executor.run([recording])
    executor.close()
    assert_same([scores], expected(model, [recording]))
    assert (int(scores.argmax()), int(scores.max())) == (5, 127)
    assert executor.measurement.instructions < 7_699_892  # TFLM with CMSIS-NN, same emulator


def test_state_lives_from_run_to_run_and_is_reset():
    model = build.svdf()
    executor = CortexMBackend(TARGET).build(compiled(model))
    reference = ReferenceBackend().build(compile_model(model, "reference"))
    runs = [random_inputs(model, seed) for seed in range(3)]
    wanted = [reference.run(inputs) for inputs in runs]
    for inputs, outputs in zip(runs, wanted, strict=True):
        assert_same(executor.run(inputs), outputs)
    executor.reset()
    batch = executor.run_many(runs)
    executor.close()
    for outputs, right in zip(batch, wanted, strict=True):
        assert_same(outputs, right)


@pytest.mark.parametrize(
    "options", [{"strategy": "layers"}, {"strategy": "rows"}, {"input_by_row": True}], ids=str
)
def test_trace_gives_every_tensor_of_the_reference(options):
    """Also of tensors that stream through rings, and are never whole on the board."""
    model = DIGITS.model()
    program = compiled(model, **options)
    executor = CortexMBackend(TARGET).build(program)
    inputs = random_inputs(model, 1)
    found = {tensor: value for _, tensor, value in executor.trace(inputs)}
    executor.close()
    reference = ReferenceBackend().build(compiled(model, strategy="layers"))
    wanted = {tensor: value for _, tensor, value in reference.trace(inputs)}
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


@pytest.mark.parametrize("model", [build.svdf(), build.conv2d((3, 5, 4, 2)), build.split()])
def test_trace_of_states_batches_and_many_outputs(model):
    executor = CortexMBackend(TARGET).build(compiled(model))
    inputs = random_inputs(model, 1)
    found = {tensor: value for _, tensor, value in executor.trace(inputs)}
    outputs = executor.run(inputs)
    executor.close()
    for index, value in zip(executor.program.graph.outputs, outputs, strict=True):
        np.testing.assert_array_equal(found[index], value)


def test_a_broken_kernel_is_found_on_the_board(monkeypatch, capsys, tmp_path):
    """One wrong term in a kernel: `compare` names the node, though it streams by rows."""
    graph = compiled(DIGITS.model()).graph
    broken = next(i for i, node in enumerate(graph.nodes) if node.op == "average_pool2d")
    pool = (CSRC / "pool2d.c").read_text()
    folder = tmp_path / "csrc"
    shutil.copytree(CSRC, folder)
    (folder / "pool2d.c").write_text(
        pool.replace("return mean - offset;", "return (mean - offset) / 4;")
    )
    monkeypatch.setattr(sources, "CSRC", folder)
    path = tmp_path / "digits.tflite"
    path.write_bytes(DIGITS.model())
    code = main(
        ["compare", str(path), "--targets", f"reference,{TARGET}", "--inputs", "1", "--json"]
    )
    result = json.loads(capsys.readouterr().out)
    assert code == 1 and not result["equal"]
    difference = result["first_difference"]
    assert (difference["node"], difference["operator"]) == (broken, "average_pool2d")
    right, wrong = difference["values"]
    assert wrong == int(right / 4)


# ---- the C -------------------------------------------------------------------------------------


@pytest.fixture(params=["layers", "rows"])
def written(request, tmp_path) -> tuple[Program, tuple[Path, ...]]:
    """Digits as C files, its layers whole or streamed by rows in loops."""
    program = compiled(DIGITS.model(), strategy=request.param)
    return program, write_sources(program, tmp_path / "c")


def model_library(files: tuple[Path, ...], folder: Path) -> ctypes.CDLL:
    """The printed C for this machine."""
    library = compile_library({path.name: path.read_text() for path in files}, folder)
    library.midge_model_input.restype = ctypes.c_void_p
    library.midge_model_output.restype = ctypes.c_void_p
    return library


def test_printed_model_on_this_machine(written, tmp_path):
    """The printed C itself, with undefined behaviour trapped and every warning an error."""
    program, files = written
    library = model_library(files, tmp_path)
    arena = aligned(program.arena_bytes, 0x5A)
    at = ctypes.c_void_p(arena.ctypes.data)
    assert library.midge_model_init(at, ctypes.c_size_t(len(arena))) == 0
    for seed in range(3):
        inputs = random_inputs(DIGITS.model(), seed)
        ctypes.memmove(library.midge_model_input(at, 0), inputs[0].tobytes(), inputs[0].nbytes)
        assert library.midge_model_run(at) == 0
        (wanted,) = expected(DIGITS.model(), inputs)
        assert library.midge_model_output_bytes(0) == wanted.nbytes
        content = ctypes.string_at(library.midge_model_output(at, 0), wanted.nbytes)
        np.testing.assert_array_equal(
            np.frombuffer(content, wanted.dtype).reshape(wanted.shape), wanted
        )


def test_status_codes(written, tmp_path):
    program, files = written
    library = model_library(files, tmp_path)
    arena = aligned(program.arena_bytes + 16)
    start, size = arena.ctypes.data, ctypes.c_size_t(program.arena_bytes)

    def init(at: int | None, count: ctypes.c_size_t) -> int:
        return library.midge_model_init(ctypes.c_void_p(at), count)

    assert init(None, size) == 1
    assert init(start + 1, size) == 2
    assert init(start, ctypes.c_size_t(program.arena_bytes - 1)) == 3
    assert init(start, size) == 0
    assert library.midge_model_run(None) == 1
    assert library.midge_model_reset(None) == 1
    assert library.midge_model_input(ctypes.c_void_p(start), 1) is None
    assert library.midge_model_output(ctypes.c_void_p(start), -1) is None
    assert library.midge_model_input_bytes(1) == library.midge_model_output_bytes(-1) == 0


def test_streamed_program_prints_loops():
    program = compiled(DIGITS.model(), strategy="rows")
    assert any(isinstance(item, Loop) for item in program.items)
    assert "for (int pass = 0;" in print_model(program)["model.c"]


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8"])
def test_code_and_tables_stay_small(name):
    """Calls of repeated nodes are a table, and the linker leaves out what no layer needs."""
    try:
        program = compile_model(find_model(name), "cortex-m4")
    except ModelError as error:
        pytest.skip(str(error))
    assert "steps[i].at" in print_model(program)["model.c"]
    executor = find_backend("cortex-m4").build(program)
    assert executor.report.flash_bytes - parameter_bytes(name) <= 16 << 10
    executor.close()


def test_same_program_same_bytes(tmp_path):
    first, second = (
        {path.name: path.read_bytes() for path in write_sources(program, tmp_path / name)}
        for name, program in (("a", compiled(DIGITS.model())), ("b", compiled(DIGITS.model())))
    )
    assert first == second
    elves = []
    for name in ("a", "b"):
        folder = tmp_path / f"build_{name}"
        folder.mkdir()
        files = [*sorted((tmp_path / name).glob("*.c")), FIRMWARE / "main.c"]
        files += harness_files(BOARD, ())
        (folder / "model_under_test.h").write_text(model_under_test(compiled(DIGITS.model())))
        objects = compile_files(files, [tmp_path / name, folder, FIRMWARE], BOARD, folder)
        elves.append(link_firmware(objects, BOARD, folder, "firmware.elf").read_bytes())
    assert elves[0] == elves[1]


def test_needs_nothing_but_memcpy_and_memset(written, tmp_path):
    _, files = written
    for path in files:
        for included in re.findall(r"#include (\S+)", path.read_text()):
            assert included in ALLOWED_INCLUDES or included.strip('"') in {f.name for f in files}
    model = [path for path in files if path.suffix == ".c"]
    for item in compile_files(model, [files[0].parent], BOARD, tmp_path):
        assert_pure(item, BOARD.compiler)


def test_names_cannot_leave_their_comments():
    program = compiled(DIGITS.model())
    graph = program.graph
    name = 'x*/ #error "out" /*\\\n??/é'
    nodes = tuple(replace(node, name=name) for node in graph.nodes)
    tensors = {i: replace(tensor, name=name) for i, tensor in graph.tensors.items()}
    hostile = replace(program, graph=replace(graph, nodes=nodes, tensors=tensors))
    for plain, text in zip(
        print_model(program).values(), print_model(hostile).values(), strict=True
    ):
        assert text.count("*/") == plain.count("*/")
        assert (
            "\\" not in text
            and text.isascii()
            and len(text.splitlines()) == len(plain.splitlines())
        )


def test_name_must_be_an_identifier():
    for name in ("a b", "1st", "é"):
        with pytest.raises(TargetError, match=f"must be a C identifier .*, not '{name}'"):
            print_model(replace(compiled(DIGITS.model()), name=name))


def test_names_of_files_become_identifiers():
    assert [c_name(text) for text in ("KWS ref-model", "1.0_224", "é", "__x__")] == [
        "kws_ref_model", "m1_0_224", "m", "x",
    ]  # fmt: skip


def test_two_models_in_one_firmware(tmp_path):
    """Both in one folder, with the kernels that they share there once."""
    programs = [
        replace(compiled(model), name=name)
        for name, model in (("first", build.conv2d()), ("second", DIGITS.model()))
    ]
    paths = {path for program in programs for path in write_sources(program, tmp_path / "c")}
    library = compile_library({path.name: path.read_text() for path in paths}, tmp_path)
    for program, model in zip(programs, (build.conv2d(), DIGITS.model()), strict=True):
        arena, inputs = aligned(program.arena_bytes), random_inputs(model, 0)
        at = ctypes.c_void_p(arena.ctypes.data)

        def function(name, kind=ctypes.c_int, program=program):
            found = getattr(library, f"midge_{program.name}_{name}")
            found.restype = kind
            return found

        assert function("init")(at, ctypes.c_size_t(len(arena))) == 0
        place = function("input", ctypes.c_void_p)(at, 0)
        ctypes.memmove(place, inputs[0].tobytes(), inputs[0].nbytes)
        assert function("run")(at) == 0
        (wanted,) = expected(model, inputs)
        content = ctypes.string_at(function("output", ctypes.c_void_p)(at, 0), wanted.nbytes)
        assert content == wanted.tobytes()


def test_header_says_what_the_model_takes():
    program = replace(compiled(DIGITS.model()), name="d")
    text = print_model(program)["d.h"]
    tensor = program.inputs[0]
    for name, value in (
        ("INPUT_0_SHAPE", "{" + ", ".join(map(str, tensor.shape)) + "}"),
        ("INPUT_0_TYPE", "int8_t"),
        ("INPUT_0_ZERO_POINT", f"({tensor.zero_point})"),
        ("OUTPUT_0_ELEMENTS", "10"),
        ("SHA256", f'"{program.graph.sha256}"'),
    ):
        assert f"#define MIDGE_D_{name} {value}" in text
    scale = re.search(r"MIDGE_D_INPUT_0_SCALE (\S+)f$", text, re.MULTILINE)
    assert np.float32(scale[1]) == np.float32(tensor.scale)


# ---- what it takes -----------------------------------------------------------------------------


def test_report(digits):
    report, program = digits.report, digits.program
    assert report.arena_bytes == program.arena_bytes
    assert report.flash_bytes == report.code_bytes + report.constant_bytes
    assert report.constant_bytes >= len(program.constants)
    assert 500 < report.code_bytes < 20_000
    assert {path.name for path in report.files} >= {"model.c", "model.h", "midge_kernels.h"}
    digits.run(random_inputs(DIGITS.model(), 0))
    assert 0 < digits.stack_bytes < BOARD.stack_bytes


def test_files_are_written_where_they_are_wanted(tmp_path):
    executor = CortexMBackend(TARGET).build(compiled(DIGITS.model()), tmp_path / "out")
    executor.close()
    assert sorted(path.name for path in executor.report.files) == sorted(
        path.name for path in (tmp_path / "out").iterdir()
    )


# ---- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "words"),
    [("flash", "bytes more flash than the 2048 of"), ("ram", "bytes more RAM than the 2048 of")],
)
def test_model_that_does_not_fit(memory, words):
    size = replace(getattr(BOARD, memory), bytes=2048)
    backend = CortexMBackend(TARGET)
    backend.board = replace(BOARD, **{memory: size})
    with pytest.raises(TargetError) as raised:
        backend.build(compiled(DIGITS.model()))
    assert words in str(raised.value)
    assert "take a smaller model or a larger board" in str(raised.value)


def test_firmware_that_hangs_is_ended(tmp_path):
    with pytest.raises(ExecutionError, match="did not end within 2 s"):
        run_source("int main(void) { for (;;) {} }", tmp_path, timeout_s=2)


def test_fault_is_reported(tmp_path):
    """A read outside the board's memories."""
    bad = "int main(void) { return *(volatile int *)0xF0000000u; }"
    with pytest.raises(ExecutionError, match=r"code 99\): fault pc=[0-9a-f]{8} .*cfsr="):
        run_source(bad, tmp_path)


def test_missing_tool_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="`apt install gcc-arm-none-eabi` has it"):
        CortexMBackend(TARGET).build(compiled(DIGITS.model()))
    with pytest.raises(ToolError, match="`apt install qemu-system-arm` has it"):
        qemu.find_tool("qemu-system-arm")


def test_node_without_a_c_kernel_is_refused(monkeypatch):
    graph = compiled(DIGITS.model()).graph
    monkeypatch.setattr("midge.targets.cortex_m.backend.c_kernels", dict)
    node: Node = next(node for node in graph.nodes if node.op == "fully_connected")
    refused = find_backend(TARGET).refuse(graph, node)
    assert refused is not None
    assert refused.why == "there is no C kernel fully_connected_paired_s8 for cortex-m4"


def test_boards_are_known_by_name():
    with pytest.raises(TargetError, match=r"there is no board 'none'; the boards are .*mps2-an386"):
        boards.find_board("none")
    assert boards.emulated_board(TARGET) == BOARD
