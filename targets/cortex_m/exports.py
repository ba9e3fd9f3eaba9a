"""A model's C as a library of CMake, Arduino, PlatformIO or Zephyr, each with an example.

Specifications: cmake-packages(7); "Arduino library specification" 1.5; PlatformIO, "library.json";
Zephyr, "Modules".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ... import __version__
from ...runtime.feeding import is_fed
from ...runtime.program import Program
from .addresses import Addresses

# Fused multiply-adds round once where the reference rounds twice.
_OPTIONS = ("-O3", "-ffp-contract=off")
_PRAGMA = (
    "#if defined(__GNUC__) && !defined(__clang__)\n"
    '#pragma GCC optimize("O3", "fp-contract=off") /* there is no other way to say it here */\n'
    "#endif\n"
)

Files = Mapping[str, str]  # path in the library -> text


def export(form: str, program: Program, sources: Files) -> dict[str, str]:
    """The library's files; `sources` are those of `write_sources`, by their names."""
    return dict(sorted(FORMATS[form](program, sources).items()))


def _split(program: Program, sources: Files) -> dict[str, str]:
    """The model's header in include/, all else in src/."""
    header = f"{program.name}.h"
    return {
        f"{'include' if name == header else 'src'}/{name}": text for name, text in sources.items()
    }


def _c_files(sources: Files) -> list[str]:
    return sorted(name for name in sources if name.endswith(".c"))


# ---- CMake -------------------------------------------------------------------------------------


def _cmake(program: Program, sources: Files) -> dict[str, str]:
    library = f"midge_{program.name}"
    listed = "\n".join(f"  src/{name}" for name in _c_files(sources))
    text = f"""\
cmake_minimum_required(VERSION 3.13)
project({library} C)

add_library({library} STATIC
{listed}
)
add_library(midge::{program.name} ALIAS {library})
target_include_directories({library} PUBLIC include PRIVATE src)
set_target_properties({library} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
target_compile_options({library} PRIVATE {" ".join(_OPTIONS)})

option({library.upper()}_EXAMPLE "Build the example" OFF)
if({library.upper()}_EXAMPLE)
  add_executable({library}_example examples/run.c)
  target_link_libraries({library}_example PRIVATE midge::{program.name})
endif()
"""
    return {
        **_split(program, sources),
        "CMakeLists.txt": text,
        "examples/run.c": _example(program, "printf", ("#include <stdio.h>",)),
    }


# ---- Arduino -----------------------------------------------------------------------------------


def _arduino(program: Program, sources: Files) -> dict[str, str]:
    name = f"midge_{program.name}"[:63]
    properties = {
        "name": name,
        "version": __version__,
        "author": "midge",
        "maintainer": "midge",
        "sentence": f"The neural network {program.name} as plain C.",
        "paragraph": f"It needs {_needed(program)}, and no other library.",
        "category": "Data Processing",
        "url": "",
        "architectures": "*",
        "includes": f"{program.name}.h",
    }
    sketch = _example(program, "Serial.print", (), "setup_and_run")
    sketch += (
        "\nvoid setup()\n{\n    Serial.begin(115200);\n    while (!Serial) {\n    }\n}\n"
        "\nvoid loop()\n{\n    Serial.println(setup_and_run());\n    delay(1000);\n}\n"
    )
    return {
        **{
            f"src/{file}": (_PRAGMA if file.endswith(".c") else "") + text
            for file, text in sources.items()
        },
        "library.properties": "".join(f"{key}={value}\n" for key, value in properties.items()),
        "examples/Run/Run.ino": sketch,
    }


# ---- PlatformIO --------------------------------------------------------------------------------


def _platformio(program: Program, sources: Files) -> dict[str, str]:
    description = {
        "name": f"midge_{program.name}",
        "version": __version__,
        "description": f"The neural network {program.name} as plain C, made by midge",
        "keywords": ["tinyml", "neural network", "inference"],
        "headers": f"{program.name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {"srcDir": "src", "includeDir": "include", "flags": list(_OPTIONS)},
        "examples": [{"name": "run", "base": "examples/run", "files": ["src/main.c"]}],
    }
    board = (
        "[env:nucleo_l4r5zi]\nplatform = ststm32\nboard = nucleo_l4r5zi\nframework = stm32cube\n"
    )
    return {
        **_split(program, sources),
        "library.json": json.dumps(description, indent=2) + "\n",
        "examples/run/src/main.c": _example(program, None, ()),
        "examples/run/platformio.ini": f"{board}lib_deps = symlink://../..\n",
    }


# ---- Zephyr ------------------------------------------------------------------------------------


def _zephyr(program: Program, sources: Files) -> dict[str, str]:
    option = f"MIDGE_{program.name.upper()}"
    listed = "\n".join(f"    ../src/{name}" for name in _c_files(sources))
    module = f"name: midge_{program.name}\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
    cmake = f"""\
if(CONFIG_{option})
  zephyr_include_directories(../include)
  zephyr_library()
  zephyr_library_include_directories(../src)
  zephyr_library_compile_options({" ".join(_OPTIONS)})
  zephyr_library_sources(
{listed}
  )
endif()
"""
    kconfig = (
        f'config {option}\n\tbool "The neural network {program.name}"\n\thelp\n'
        f"\t  Plain C made by midge. The application gives it {_needed(program)}.\n"
    )
    application = """\
cmake_minimum_required(VERSION 3.20.0)
list(APPEND ZEPHYR_EXTRA_MODULES ${CMAKE_CURRENT_SOURCE_DIR}/../..)
find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
project(run)
target_sources(app PRIVATE src/main.c)
"""
    return {
        **_split(program, sources),
        "zephyr/module.yml": module,
        "zephyr/CMakeLists.txt": cmake,
        "zephyr/Kconfig": kconfig,
        "samples/run/CMakeLists.txt": application,
        "samples/run/prj.conf": f"CONFIG_{option}=y\nCONFIG_PRINTK=y\n",
        "samples/run/src/main.c": _example(program, "printk", ("#include <zephyr/kernel.h>",)),
    }


def _needed(program: Program) -> str:
    if len(program.regions) < 2:
        return f"{program.arena_bytes} bytes of RAM"
    parts = (f"{region.bytes} bytes in memory {region.name}" for region in program.regions)
    return " and ".join(parts)


# ---- the example -------------------------------------------------------------------------------


def _example(
    program: Program, printer: str | None, includes: Sequence[str], function: str = "main"
) -> str:
    """One inference on an input of zeros; the answer is printed, if there is a printer."""
    name, macro = program.name, f"MIDGE_{program.name.upper()}"
    tensor = program.inputs[0]
    zero = tensor.zero_point if tensor.quantization is not None else 0
    fill = f"{zero} & 0xFF" if tensor.itemsize == 1 else "0"
    if is_fed(program):
        infer = f"""\
    static uint8_t row[{macro}_ROW_BYTES];
    memset(row, {fill}, sizeof row); /* a row as the camera gives it */
    for (int y = 0; status == {macro}_OK && y < {macro}_INPUT_ROWS; y++)
        status = midge_{name}_push_rows(arena, row, 1);
"""
    else:
        infer = f"""\
    for (int i = 0; i < {macro}_INPUTS; i++)
        memset(midge_{name}_input(arena, i), {fill}, midge_{name}_input_bytes(i));
    if (status == {macro}_OK)
        status = midge_{name}_run(arena);
"""
    element = "outputs[i]"
    if printer in ("printf", "printk"):
        kind = "double" if printer == "printf" else "int"
        form = "%g" if printer == "printf" else "%d"
        show = f'        {printer}("{form}\\n", ({kind}){element});\n'
    elif printer:
        show = f"        Serial.println({element});\n"
    else:
        show = f"        answer = {element} > outputs[answer] ? i : answer;\n"
    lines = "".join(f"{line}\n" for line in (*includes, "#include <string.h>"))
    return f"""\
/* One inference of {name}. */
{lines}
#include "{name}.h"

{_arena_definition(program)}
int {function}(void)
{{
    int status = midge_{name}_init(arena, {macro}_ARENA_BYTES);
    if (status != {macro}_OK)
        return status;
{infer}    if (status != {macro}_OK)
        return status;
    const {macro}_OUTPUT_0_TYPE *outputs =
        (const {macro}_OUTPUT_0_TYPE *)midge_{name}_output(arena, 0);
{"    int answer = 0;" + chr(10) if printer is None else ""}\
    for (int i = 0; i < {macro}_OUTPUT_0_ELEMENTS; i++)
{show}\
    return {"answer" if printer is None else "0"};
}}
"""


def _arena_definition(program: Program) -> str:
    """The arrays of an application; where each memory is, only its linker script knows."""
    addresses = Addresses(program, 1)
    aligned = f"__attribute__((aligned({addresses.macro}_ARENA_ALIGNMENT)))"
    if not addresses.several:
        return f"static uint8_t arena[{addresses.macro}_ARENA_BYTES] {aligned};\n"
    text = ""
    for region in program.regions:
        place = f"IN_MEMORY_{region.name.upper()}"
        text += f'#ifndef {place} /* such as __attribute__((section(".{region.name}"))) */\n'
        text += f"#define {place}\n#endif\n"
        text += f"int8_t {addresses.symbol(region)}[{addresses.size_macro(region)}] {place}\n"
        text += f"    {aligned};\n"
    return f"{text}#define arena {addresses.symbol(program.regions[0])}\n"


FORMATS: Mapping[str, Callable[[Program, Files], dict[str, str]]] = {
    "cmake": _cmake,
    "arduino": _arduino,
    "platformio": _platformio,
    "zephyr": _zephyr,
}
