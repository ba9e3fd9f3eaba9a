"""The interpreter in C: bits, rules that say what kernels touch, hostile images."""

from __future__ import annotations

import binascii
import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest
from oracle import random_inputs

from cases import OPERATORS, Case
from cases import model as model_case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, TargetError, ToolError, UnsupportedModel
from midge.runtime.feeding import unrolled_calls
from midge.runtime.lowering import Address, Constant, Cursor, Lowered, Scratch, Sums
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.places import row_bytes
from midge.runtime.program import Program
from midge.sim.qemu import find_tool, run_firmware, run_tool
from midge.targets.boards import emulated_board
from midge.targets.cortex_m.access import RULES
from midge.targets.cortex_m.checks import Memory, broken, value_of
from midge.targets.cortex_m.interpreted import FOLDER, interpreter_sources, to_image
from midge.targets.cortex_m.lowering import layouts
from midge.targets.cortex_m.toolchain import (
    FIRMWARE,
    compile_files,
    harness_files,
    link_firmware,
)
from midge.tools.cli import main

DIGITS = model_case("digits")
TARGET = "interpreter"
STRATEGIES = (Options(exact=False, strategy="layers"), Options(exact=False, strategy="rows"))
# Sums that wrap are defined by -fwrapv; all else that C leaves undefined ends the program.
SANITIZED = (
    "-std=c99", "-D_POSIX_C_SOURCE=200112L", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
    "-ffp-contract=off", "-fwrapv",
    "-fsanitize=address,undefined", "-fno-sanitize=signed-integer-overflow",
    "-fno-sanitize-recover=all",
)  # fmt: skip


def programs(model: bytes) -> Iterator[Program]:
    for options in STRATEGIES:
        try:
            program = compile_model(model, TARGET, options)
        except UnsupportedModel:
            return
        yield program


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter, compiled once, with undefined behaviour and memory errors trapped."""
    folder = tmp_path_factory.mktemp("interpreter")
    try:
        gcc = find_tool("gcc")
    except ToolError as error:
        pytest.skip(str(error))
    for name, text in interpreter_sources().items():
        (folder / name).write_text(text)
    run_tool([gcc, *SANITIZED, "-c", *sorted(folder.glob("*.c"))], folder, 120)
    return folder


def build(objects: Path, name: str, main_program: str) -> Path:
    """A folder of its own, with a main program linked to the interpreter."""
    folder = objects / name
    folder.mkdir()
    (folder / "main.c").write_text(main_program)
    files = [folder / "main.c", *sorted(objects.glob("*.o"))]
    run_tool([find_tool("gcc"), *SANITIZED, "-I", objects, *files, "-o", "program"], folder, 120)
    return folder / "program"


# ---- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_rules_say_what_lowering_says(case: Case) -> None:
    """Sizes of weights, tensors, rows and scratch: by the rule's words, and by the graph."""
    for program in programs(case.model()):
        lowered = lower_nodes(program.graph, find_backend(TARGET))
        for _, call in unrolled_calls(program):
            how = lowered[call.node]
            choices = [how, how.by_row, how.frugal, how.frugal and how.frugal.by_row]
            (how, *_) = [c for c in choices if c is not None and c.kernel == call.kernel]
            said = stated(program, how, call.args)
            if RULES[call.kernel].walk is not None:  # how much it touches is in the table
                said = {"axes": said["axes"]}
            assert ruled(call.kernel, call.args) == said


def ruled(kernel: str, words: dict) -> dict:  # type: ignore[type-arg]
    rule = RULES[kernel]
    sizes = {name: value_of(size, words) for name, size in rule.constants.items()}
    numbers = {**rule.all_numbers, **rule.all_shifts}
    sizes |= {name: 4 * value_of(count, words) for name, count in numbers.items()}
    sizes |= {name: 4 * count for name, (count, _) in rule.positive.items()}
    sizes |= {name: value_of(size, words) for name, (size, _) in rule.arena.items()}
    if rule.walk is not None:
        sizes["axes"] = 4 * rule.walk.entries
    for name, table in rule.tables.items():
        sizes[name] = (value_of(table.entries, words), value_of(table.row, words))
    return sizes


def stated(program: Program, how: Lowered, words: dict) -> dict:  # type: ignore[type-arg]
    sizes: dict = {}  # type: ignore[type-arg]
    for name, field in how.fields.items():
        if isinstance(field, Constant):
            sizes[name] = field.array.nbytes
        elif isinstance(field, Address):
            sizes[name] = program.graph.tensors[field.tensor].bytes
        elif isinstance(field, Scratch | Sums):
            sizes[name] = field.size
        elif isinstance(field, Cursor):
            entries = (words["rows"] - 1) * field.step + field.extent
            sizes[name] = (entries, row_bytes(program.graph, field.tensor))
    return sizes


def test_rules_read_words_that_there_are() -> None:
    for kernel, rule in RULES.items():
        assert rule.names() <= set(layouts()[kernel].fields), kernel


# ---- bits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runner(objects: Path) -> Path:
    """Opens and runs an image, as the example does."""
    return build(objects, "runner", (FOLDER / "run_image.c").read_text())


def interpreted(runner: Path, image: bytes, inputs: list[np.ndarray]) -> tuple[int, bytes]:
    folder = runner.parent
    (folder / "a.image").write_bytes(image)
    (folder / "input.bin").write_bytes(b"".join(value.tobytes() for value in inputs))
    done = subprocess.run(
        [runner, folder / "a.image", folder / "input.bin"], capture_output=True, timeout=60
    )
    assert not done.stderr, done.stderr.decode()
    return done.returncode, done.stdout


CASES = [
    ("digits", DIGITS.model),
    ("depthwise", b.depthwise_conv2d),
    ("grouped", lambda: b.depthwise_conv2d(multiplier=4, shape=(1, 6, 5, 1))),
    ("average", lambda: b.pool2d("AVERAGE_POOL_2D")),
    ("max", lambda: b.pool2d("MAX_POOL_2D")),
    ("sum", lambda: b.arithmetic("ADD")),
    ("softmax", b.softmax),
]


@pytest.mark.parametrize(("name", "make"), CASES, ids=[name for name, _ in CASES])
def test_an_image_gives_the_same_bits(runner: Path, name: str, make) -> None:  # type: ignore[no-untyped-def]
    model = make()
    found = list(programs(model))
    assert found, "no strategy has kernels with rules"
    inputs = random_inputs(model, 3)
    wanted = ReferenceBackend().build(compile_model(model, "reference")).run(inputs)
    for program in found:
        status, content = interpreted(runner, to_image(program), inputs)
        assert status == 0
        assert content == b"".join(value.tobytes() for value in wanted)


def test_models_of_mlperf_tiny(runner: Path) -> None:
    for name in ("kws_ref_model", "ad01_int8", "str_ww_ref_model"):
        model = model_case(name).model()
        program = compile_model(model, TARGET, Options(exact=False))
        inputs = random_inputs(model, 0)
        (wanted,) = ReferenceBackend().build(program).run(inputs)
        assert interpreted(runner, to_image(program), inputs) == (0, wanted.tobytes())


# ---- images that are refused -------------------------------------------------------------------


def with_crc(image: bytes) -> bytes:
    return image[:12] + struct.pack("<I", binascii.crc32(image[16:])) + image[16:]


def changed(image: bytes, word: int, value: int) -> bytes:
    return image[: 4 * word] + struct.pack("<I", value) + image[4 * word + 4 :]


def test_refusals_have_their_status(runner: Path) -> None:
    program = compile_model(b.conv2d(), TARGET, Options(exact=False))
    image, inputs = to_image(program), random_inputs(b.conv2d(), 0)
    words = struct.unpack("<24I", image[:96])

    def status(content: bytes) -> int:
        return interpreted(runner, content, inputs)[0]

    assert status(image) == 0
    assert status(b"") == status(b"hello" * 40) == status(image[:-16]) == 2
    assert status(changed(image, 1, 2)) == 3
    assert status(image[:-1] + bytes([image[-1] ^ 1])) == 4
    assert status(with_crc(changed(image, 4, 1 << 30))) == 5
    assert status(with_crc(changed(image, words[9] // 4, 0x12345678))) == 6
    first = words[7] // 4
    assert status(with_crc(changed(image, first, 9))) == 7  # no such item
    for word in range(first + 2, first + 2 + len(next(program.calls()).args)):
        assert status(with_crc(changed(image, word, 0x7FFFFFFF))) in (0, 7)


FUZZ = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "midge_interpreter.h"

static uint32_t state;
static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static uint32_t crc(const uint8_t *at, size_t count)
{
    uint32_t value = ~0u;
    for (; count > 0; count--) {
        value ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (0xEDB88320u & (0u - (value & 1u)));
    }
    return ~value;
}

/* Change a few words of a good image, with a right checksum; what is accepted is run. */
static int attempt(const uint8_t *good, size_t bytes)
{
    void *room;
    if (posix_memalign(&room, 16, bytes) != 0)
        abort();
    uint32_t *image = room;
    memcpy(image, good, bytes);
    for (uint32_t changes = 1 + draw() % 3; changes > 0; changes--) {
        const uint32_t *header = (const uint32_t *)(const void *)good;
        uint32_t at = header[7] / 4 + draw() % header[8]; /* one of the words */
        if (draw() % 4 == 0)
            at = 4 + draw() % (uint32_t)(bytes / 4 - 4);  /* anything */
        switch (draw() % 4) {
        case 0: image[at] += draw() % 9 - 4; break;
        case 1: image[at] = draw(); break;
        case 2: image[at] = draw() % 70000; break;
        default: image[at] ^= 1u << draw() % 32; break;
        }
    }
    image[3] = crc((const uint8_t *)image + 16, bytes - 16);
    midge_image opened;
    int accepted = midge_image_open(&opened, image, bytes, 1 << 16) == MIDGE_IMAGE_OK;
    if (accepted) {
        void *arena;
        if (posix_memalign(&arena, 16, opened.arena_bytes) != 0)
            abort();
        memset(arena, 0x5A, opened.arena_bytes);
        midge_image_reset(&opened, arena);
        midge_image_run(&opened, arena);
        free(arena);
    }
    free(image);
    return accepted;
}

int main(int count, char **arguments)
{
    static uint8_t good[1 << 20] __attribute__((aligned(16)));
    int accepted = 0;
    (void)count;
    FILE *file = fopen(arguments[1], "rb");
    const size_t bytes = fread(good, 1, sizeof good, file);
    fclose(file);
    state = (uint32_t)atoi(arguments[2]);
    const int attempts = atoi(arguments[3]);
    for (int i = 0; i < attempts; i++)
        accepted += attempt(good, bytes);
    printf("%d\n", accepted);
    return 0;
}
"""
SMALL = [
    ("conv2d", lambda: b.conv2d((1, 7, 6, 3), stride=(2, 2))),
    ("depthwise", b.depthwise_conv2d),
    ("dense", b.fully_connected),
    ("average", lambda: b.pool2d("AVERAGE_POOL_2D")),
    ("sum", lambda: b.arithmetic("ADD")),
    ("softmax", b.softmax),
    ("transpose", b.transpose),
    ("mean", b.mean),
    ("digits", DIGITS.model),
]
ATTEMPTS = 1500


@pytest.fixture(scope="module")
def fuzzer(objects: Path) -> Path:
    return build(objects, "fuzzer", FUZZ)


@pytest.mark.parametrize(("name", "make"), SMALL, ids=[name for name, _ in SMALL])
def test_hostile_images_are_refused_or_harmless(fuzzer: Path, name: str, make) -> None:  # type: ignore[no-untyped-def]
    accepted = 0
    for program in programs(make()):
        path = fuzzer.parent / f"{name}.image"
        path.write_bytes(to_image(program))
        attempts = ATTEMPTS // 10 if name == "digits" else ATTEMPTS
        done = subprocess.run(
            [fuzzer, path, "7", str(attempts)], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        accepted += int(done.stdout)
        assert accepted < attempts * 2
    assert accepted > 0  # else nothing but refusals was tried


def test_the_target_runs_here_and_keeps_state() -> None:
    """`midge run --target interpreter`: the library is built for this machine."""
    inputs = random_inputs(DIGITS.model(), 5)
    executor = find_backend(TARGET).build(compile_model(DIGITS.model(), TARGET))
    try:
        answers = [executor.run(inputs) for _ in range(2)]
    except ToolError as error:
        pytest.skip(str(error))
    executor.reset()
    executor.close()
    wanted = ReferenceBackend().build(compile_model(DIGITS.model(), "reference")).run(inputs)
    for answer in answers:
        np.testing.assert_array_equal(answer[0], wanted[0])


ON_A_BOARD = r"""
#include "midge_interpreter.h"
#include "semihosting.h"

static uint8_t place[SIZE] __attribute__((aligned(16)));
static uint8_t arena[16384] __attribute__((aligned(16)));

/* Two images, one after the other in the same RAM: a model is replaced in the field. */
int main(void)
{
    static const char *const names[] = {"0.image", "1.image"};
    const int output = semihosting_open_write("output.bin");
    for (int number = 0; number < 2; number++) {
        midge_image image;
        semihosting_read(semihosting_open_read(names[number]), place, sizeof place);
        const int status = midge_image_open(&image, place, sizeof place, sizeof arena);
        if (status != MIDGE_IMAGE_OK)
            return status;
        midge_image_reset(&image, arena);
        uint8_t *input = midge_image_input(&image, arena, 0);
        for (size_t i = 0; i < midge_image_input_bytes(&image, 0); i++)
            input[i] = (uint8_t)i;
        if (midge_image_run(&image, arena) != MIDGE_IMAGE_OK)
            return 50;
        semihosting_write(
            output, midge_image_output(&image, arena, 0), midge_image_output_bytes(&image, 0));
    }
    semihosting_close(output);
    return 0;
}
"""


def test_models_are_replaced_on_a_board(tmp_path: Path) -> None:
    """The same firmware, compiled for a Cortex-M4 with every warning an error, runs two models."""
    models = [b.conv2d(), b.depthwise_conv2d()]
    programs = [compile_model(model, TARGET, Options(exact=False)) for model in models]
    size = max(len(to_image(program)) for program in programs)
    for number, program in enumerate(programs):
        (tmp_path / f"{number}.image").write_bytes(to_image(program).ljust(size, b"\0"))
    for name, text in interpreter_sources().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "under_test.c").write_text(ON_A_BOARD.replace("SIZE", str(size)))
    board = emulated_board("cortex-m4")
    files = [*tmp_path.glob("*.c"), *harness_files(board, ())]
    try:
        objects = compile_files(files, [tmp_path, FIRMWARE], board, tmp_path)
        elf = link_firmware(objects, board, tmp_path, "firmware.elf")
        assert board.emulator is not None
        run_firmware(elf, board.emulator.program, board.emulator.machine, tmp_path)
    except MissingTool as error:
        pytest.skip(str(error))
    wanted = b""
    for model, program in zip(models, programs, strict=True):
        shape = program.inputs[0].shape
        value = np.arange(np.prod(shape)).astype(np.uint8).view(np.int8).reshape(shape)
        reference = ReferenceBackend().build(compile_model(model, "reference"))
        wanted += reference.run([value])[0].tobytes()
    assert (tmp_path / "output.bin").read_bytes() == wanted


# ---- the maker and the verb --------------------------------------------------------------------


def test_kernels_without_a_rule_are_named() -> None:
    with pytest.raises(UnsupportedModel, match="has no rule for what lstm_s8 touches"):
        compile_model(b.lstm(), TARGET)
    with pytest.raises(TargetError, match="has no rule for lstm_s8, and runs no kernel that it"):
        to_image(compile_model(b.lstm(), "cortex-m0"))


def test_broken_rules_are_named() -> None:
    program = compile_model(b.conv2d(), TARGET, Options(exact=False))
    call = next(program.calls())
    memory = Memory(program.constants, program.arena_bytes)
    assert broken(call.kernel, call.args, memory) is None
    for change, why in (
        ({"rows": 0}, "rows is 0, not 1 to 32767"),
        ({"group_filters": 3}, "filters % group_filters == 0"),
        ({"weights": len(program.constants)}, "weights: "),
        ({"x": 2}, "x: "),
    ):
        found = broken(call.kernel, {**call.args, **change}, memory)
        assert found is not None and why in found


def test_the_verb_writes_an_image_and_its_interpreter(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(b.conv2d())
    words = ["compile", str(model), "--target", TARGET]
    code = main([*words, "-o", str(tmp_path / "out"), "--json"])
    result = json.loads(capsys.readouterr().out)
    if code and "is needed and is not installed" in result["error"]:
        pytest.skip(result["error"])
    assert code == 0
    try:
        cmake = find_tool("cmake")
    except ToolError as error:
        pytest.skip(str(error))
    out, build_folder = tmp_path / "out", tmp_path / "build"
    run_tool([cmake, "-S", out, "-B", build_folder, "-DMIDGE_INTERPRETER_EXAMPLE=ON"], out, 60)
    run_tool([cmake, "--build", build_folder], out, 300)
    done = subprocess.run([build_folder / "run_image", out / "m.image"], capture_output=True)
    zeros = [np.zeros(value.shape, value.dtype) for value in random_inputs(b.conv2d(), 0)]
    (wanted,) = ReferenceBackend().build(compile_model(b.conv2d(), "reference")).run(zeros)
    assert (done.returncode, done.stdout) == (0, wanted.tobytes())
