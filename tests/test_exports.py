"""Models as libraries of other build systems: CMake's runs, the others keep their rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import build_tflite as b
import numpy as np
import pytest

from midge.kernels.reference import ReferenceBackend
from midge.runtime.errors import MissingTool, ToolError
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool, run_tool
from midge.targets.cortex_m.backend import write_sources
from midge.targets.cortex_m.exports import FORMATS, export
from midge.tools.cli import main

WARNINGS = ["-Wall", "-Wextra", "-Werror"]
MODEL = b.conv2d((1, 9, 7, 3), stride=(2, 2))


@pytest.fixture(params=[False, True], ids=["whole", "by_row"])
def program(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    options = Options(input_by_row=request.param)
    return compile_model(MODEL, "cortex-m4", options)


def written(form: str, program, folder: Path) -> Path:  # type: ignore[no-untyped-def]
    plain = {path.name: path.read_text() for path in write_sources(program, folder / "plain")}
    for name, text in export(form, program, plain).items():
        (folder / form / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / form / name).write_text(text)
    return folder / form


def compile_all(folder: Path, include: list[Path], name: str = "gcc", *flags: str) -> None:
    """Every C file of a library, as plain C."""
    try:
        gcc = find_tool(name)
    except ToolError as error:
        pytest.skip(str(error))
    includes = [word for path in include for word in ("-I", str(path))]
    files = sorted(folder.rglob("*.c"))
    assert files
    run_tool([gcc, *flags, *WARNINGS, *includes, "-fsyntax-only", *files], folder, 120)


def test_cmake_builds_the_library_and_its_example(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = written("cmake", program, tmp_path)
    try:
        cmake = find_tool("cmake")
    except ToolError as error:
        pytest.skip(str(error))
    build = folder / "build"
    run_tool([cmake, "-S", folder, "-B", build, "-DMIDGE_MODEL_EXAMPLE=ON"], folder, 120)
    run_tool([cmake, "--build", build], folder, 300)
    done = subprocess.run([build / "midge_model_example"], capture_output=True, text=True)
    assert done.returncode == 0
    assert len(done.stdout.split()) == program.outputs[0].elements


def test_arduino_library(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = written("arduino", program, tmp_path)
    lines = (folder / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    required = "name version author maintainer sentence paragraph category url architectures"
    assert set(required.split()) <= properties.keys()
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}", properties["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] == "Data Processing"
    assert (folder / "src" / properties["includes"]).is_file()
    (sketch,) = folder.glob("examples/*/*.ino")
    assert sketch.stem == sketch.parent.name
    assert "void setup()" in sketch.read_text() and "void loop()" in sketch.read_text()
    compile_all(folder, [folder / "src"])


# What the frameworks give an example, as far as it uses them; it prints to standard output.
SERIAL = """
#include <cstdio>
struct Port {
    void begin(int) {}
    template <class T> void println(T value) { std::printf("%g\\n", static_cast<double>(value)); }
    operator bool() const { return true; }
};
static Port Serial;
static void delay(int) {}
"""
ARDUINO_MAIN = "\nint main() { setup(); return setup_and_run(); }\n"
KERNEL = "#include <stdio.h>\n#define printk printf\n"
# An Arduino core's flags for a Cortex-M4 with an FPU, as its platform.txt has them.
NANO_33_BLE = (
    "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 -mthumb -Os -g -fno-exceptions".split()
)


def arduino_objects(folder: Path, compiler: str, flags: list[str]) -> list[Path]:
    """As the Arduino builder: each C file by itself, the sketch as C++ behind its core's header."""
    build, src = folder.parent / f"{compiler}build", folder / "src"
    build.mkdir()
    (build / "Arduino.h").write_text(SERIAL)
    sketch = (folder / "examples" / "Run" / "Run.ino").read_text()
    (build / "sketch.cpp").write_text(f"#include <Arduino.h>\n{sketch}{ARDUINO_MAIN}")
    sources = [*src.rglob("*.c"), build / "sketch.cpp"]
    for source in sources:
        tool = find_tool(compiler + ("gcc" if source.suffix == ".c" else "g++"))
        standard = "-std=gnu11" if source.suffix == ".c" else "-std=gnu++14"
        words = [tool, *flags, standard, *WARNINGS, "-I", src, "-I", build, "-c", source]
        run_tool([*words, "-o", build / f"{source.stem}.o"], build, 120)
    return [build / f"{source.stem}.o" for source in sources]


def zeros_give(program) -> list[float]:  # type: ignore[no-untyped-def]
    """What the examples show: the answer to an input of zeros."""
    reference = ReferenceBackend().build(compile_model(MODEL, "reference"))
    tensor = program.inputs[0]
    (answer,) = reference.run([np.full(tensor.shape, tensor.zero_point, np.int8)])
    return [float(value) for value in answer.reshape(-1)]


def shown_by(program: Path) -> list[float]:
    done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60)
    return [float(word) for word in done.stdout.split()]


def test_arduino_sketch_runs(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = written("arduino", program, tmp_path)
    try:
        objects = arduino_objects(folder, "", ["-O1"])
        run_tool([find_tool("g++"), *objects, "-o", tmp_path / "sketch"], tmp_path, 60)
        arduino_objects(folder, "arm-none-eabi-", NANO_33_BLE)
    except MissingTool as error:
        pytest.skip(str(error))
    assert shown_by(tmp_path / "sketch") == zeros_give(program)


@pytest.mark.parametrize(
    ("form", "example"),
    [("platformio", "examples/run/src/main.c"), ("zephyr", "samples/run/src/main.c")],
)
def test_example_runs(program, tmp_path: Path, form: str, example: str) -> None:  # type: ignore[no-untyped-def]
    folder, stubs = written(form, program, tmp_path), tmp_path / "stubs" / "zephyr"
    stubs.mkdir(parents=True)
    (stubs / "kernel.h").write_text(KERNEL)
    sources = [*(folder / "src").glob("*.c"), folder / example]
    include = [word for p in (folder / "include", stubs.parent) for word in ("-I", p)]
    try:
        words = [find_tool("gcc"), "-std=c99", *WARNINGS, "-ffp-contract=off", *include, *sources]
        run_tool([*words, "-o", tmp_path / "example"], tmp_path, 120)
    except MissingTool as error:
        pytest.skip(str(error))
    if form == "zephyr":
        assert shown_by(tmp_path / "example") == zeros_give(program)
    else:  # without a port to print on, it ends with the greatest output's number
        answer = zeros_give(program)
        assert subprocess.run([tmp_path / "example"]).returncode == np.argmax(answer) % 256


def test_arduino_sums_are_not_fused(tmp_path: Path) -> None:
    """The core fuses by default where it has an FPU: the pragma must keep it from that."""
    program = compile_model(b.conv2d(dtype="float32"), "cortex-m4")
    folder = written("arduino", program, tmp_path)
    try:
        gcc = find_tool("arm-none-eabi-gcc")
    except ToolError as error:
        pytest.skip(str(error))
    core = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os", "-S"]
    source = folder / "src" / "conv2d.c"
    for text, fused in (
        (source.read_text(), False),
        (source.read_text().split("#endif\n", 1)[1], True),
    ):
        source.write_text(text)
        run_tool([gcc, *core, "-I", folder / "src", source, "-o", tmp_path / "out.s"], tmp_path, 60)
        found = re.search(r"\bv(fma|fms|fnma)", (tmp_path / "out.s").read_text())
        assert bool(found) == fused


def test_platformio_library(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = written("platformio", program, tmp_path)
    library = json.loads((folder / "library.json").read_text())
    assert re.fullmatch(r"[\w .-]+", library["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    build = library["build"]
    assert (folder / build["includeDir"] / library["headers"]).is_file()
    assert "-ffp-contract=off" in build["flags"]
    for example in library["examples"]:
        assert all((folder / example["base"] / file).is_file() for file in example["files"])
    compile_all(folder, [folder / build["includeDir"], folder / build["srcDir"]])


def test_zephyr_module(program, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = written("zephyr", program, tmp_path)
    module = (folder / "zephyr" / "module.yml").read_text()
    fields = dict(re.findall(r"^\s*(\w+): (\S+)$", module, re.MULTILINE))
    assert fields["name"] == "midge_model"
    assert (folder / fields["kconfig"]).is_file()
    listing = (folder / fields["cmake"] / "CMakeLists.txt").read_text()
    sources = re.findall(r"^    (\S+\.c)$", listing, re.MULTILINE)
    assert sources and all((folder / "zephyr" / path).is_file() for path in sources)
    option = re.search(r"if\(CONFIG_(\w+)\)", listing)
    assert option and f"config {option[1]}\n" in (folder / "zephyr" / "Kconfig").read_text()
    assert f"CONFIG_{option[1]}=y" in (folder / "samples" / "run" / "prj.conf").read_text()
    kernel = tmp_path / "fake" / "zephyr"
    kernel.mkdir(parents=True)
    (kernel / "kernel.h").write_text("int printk(const char *, ...);\n")
    compile_all(folder, [folder / "include", folder / "src", tmp_path / "fake"])


@pytest.mark.parametrize("form", FORMATS)
def test_compile_writes_the_form(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str
) -> None:
    model = tmp_path / "My Model-1.tflite"
    model.write_bytes(b.softmax())
    out = tmp_path / "out"
    code = main(
        ["compile", str(model), "--target", "cortex-m4", "--format", form, "-o", str(out), "--json"]
    )
    result = json.loads(capsys.readouterr().out)
    if code and "is needed and is not installed" in result["error"]:
        pytest.skip(result["error"])
    assert code == 0 and all(Path(path).is_file() for path in result["files"])
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert any(name.endswith("/my_model_1.h") for name in names)
    assert not any(name.endswith(".c") and "/" not in name for name in names)


def test_forms_are_for_microcontrollers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(b.softmax())
    assert main(["compile", str(model), "--format", "cmake", "-o", str(tmp_path), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == "--format cmake is for microcontrollers, not for host"
