"""How deep the stack can grow, found without running it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cases import model as model_case
from midge.runtime.errors import MissingTool, TargetError
from midge.runtime.pipeline import compile_model
from midge.sim.qemu import find_tool
from midge.targets.boards import find_board
from midge.targets.cortex_m.image import build_image
from midge.targets.cortex_m.stack import CALL_GRAPH, StackBounds, pushed

CORES = {
    "arm-none-eabi-": ("-mcpu=cortex-m4", "-mthumb"),
    "riscv64-unknown-elf-": ("-march=rv32imc", "-mabi=ilp32"),
}
KEEP = "__attribute__((noinline, noclone)) "
LEAVES = f"""
{KEEP}static int shallow(int x) {{ volatile int here[20]; here[0] = x; return here[0]; }}
{KEEP}static int deep(int x) {{ volatile int here[400]; here[0] = x; return here[0]; }}
"""


@pytest.fixture(params=CORES)
def bounds(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A function that compiles a source and answers with the bounds of it."""

    def compiled(source: str) -> StackBounds:
        compiler = request.param
        try:
            gcc = find_tool(f"{compiler}gcc")
        except MissingTool as error:
            pytest.skip(str(error))
        (tmp_path / "c.c").write_text(source)
        flags = (*CORES[compiler], "-O2", "-ffunction-sections", "-nostdlib")
        steps = (
            [gcc, *flags, CALL_GRAPH, "-c", "c.c", "-o", "c.o"],
            [gcc, *flags, "-Wl,-e,run", "c.o", "-o", "c.elf"],
        )
        for command in steps:
            subprocess.run(command, cwd=tmp_path, check=True)
        return StackBounds(tmp_path / "c.elf", (tmp_path / "c.o",), compiler)

    return compiled


def test_a_call_takes_its_frame_and_the_deepest_callee(bounds) -> None:  # type: ignore[no-untyped-def]
    source = f"{LEAVES} int run(int x) {{ return shallow(x) + deep(x + 1) + 1; }}"
    found = bounds(source)
    assert found.of("deep") in range(1600, 1616)
    assert 8 <= found.of("run") - found.of("deep") <= 16
    assert {"run", "deep", "shallow"} <= found.names


def test_a_pointer_may_lead_to_any_function_whose_address_is_taken(bounds) -> None:  # type: ignore[no-untyped-def]
    source = f"{LEAVES} typedef int leaf(int); int run(int x)"
    found = bounds(f"{source} {{ leaf *f = x & 1 ? shallow : deep; return f(x) + 1; }}")
    assert found.of("run") > found.of("deep") >= 1600


def test_what_assembly_pushes_counts(bounds) -> None:  # type: ignore[no-untyped-def]
    source = """
    __attribute__((naked)) int run(int x)
    {
    #if defined(__riscv)
        __asm__("addi sp, sp, -48\\n\\tjal deep\\n\\taddi sp, sp, 48\\n\\tret");
    #else
        __asm__("push {r4-r7, lr}\\n\\tsub sp, #28\\n\\tbl deep\\n\\tpop {r4-r7, pc}");
    #endif
    }
    """
    found = bounds(LEAVES.replace("static int deep", "int deep") + source)
    assert found.of("run") == 48 + found.of("deep")


@pytest.mark.parametrize(
    "source, why",
    [
        (f"{KEEP}int run(int x) {{ return x < 2 ? x : run(x - 1) * run(x - 2); }}", "calls itself"),
        (
            'void use(char *p) { __asm__ volatile("" : : "r"(p)); }\n'
            "int run(int x) { char here[x]; use(here); return here[0]; }",
            "takes what its data says",
        ),
    ],
)
def test_what_has_no_bound_is_refused(bounds, source: str, why: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TargetError, match=f"the stack has no bound: run {why}"):
        bounds(source).of("run")


@pytest.mark.parametrize(
    "name, operands, count",
    [
        ("push", "{r4, r5, r6, lr}", 16),
        ("stmdb", "sp!, {r4, r5, r6, r7, r8, r9, sl, fp, lr}", 36),
        ("stmdb", "r0!, {r4, r5}", 0),
        ("vpush", "{d8-d15}", 64),
        ("vpush", "{s16}", 4),
        ("sub", "sp, #508", 508),
        ("sub.w", "sp, sp, #1024", 1024),
        ("str.w", "lr, [sp, #-4]!", 4),
        ("strd", "r4, r5, [sp, #-16]!", 16),
        ("add", "sp,sp,-112", 112),
        ("add", "sp,sp,112", 0),
        ("pop", "{r4, pc}", 0),
    ],
)
def test_pushed(name: str, operands: str, count: int) -> None:
    assert pushed(name, operands) == count


def test_a_board_whose_stack_is_too_small_is_refused(tmp_path: Path) -> None:
    program = compile_model(model_case("digits").model(), "cortex-m4")
    board = replace(find_board("mps2-an386"), stack_bytes=256)
    try:
        with pytest.raises(TargetError, match=r"stack may grow to \d+ bytes, mps2-an386 keeps 256"):
            build_image(program, board, tmp_path)
    except MissingTool as error:
        pytest.skip(str(error))
