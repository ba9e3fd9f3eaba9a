"""From a registered Python function to a native object file, with Numba as the front end.

Numba types and lowers the function; a wrapper with C's calling convention is linked to it, all else
is made internal, and LLVM emits one relocatable object that knows nothing of Numba or Python.
Importing this module imports Numba: only a kernel that isn't in the cache needs it.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import numba
from numba.core import types
from numba.core.codegen import CPUCodeLibrary

from . import processor
from .memory import INT8_POINTER, INT32_POINTER
from .registry import NativeFunction
from .vectors import FOREIGN

KERNEL_ARGUMENTS = (INT8_POINTER, INT8_POINTER, INT32_POINTER)


def compile_object(function: NativeFunction, symbol: str) -> bytes:
    """An object file for the instruction set: it defines `symbol`, and needs libc and libm."""
    arguments = function.arguments or KERNEL_ARGUMENTS
    library, mangled = _lower(function, arguments)
    machine = target_machine()
    module = llvm.parse_assembly(_retargeted(library.get_llvm_str(), machine))
    module.link_in(
        llvm.parse_assembly(_retargeted(_c_wrapper(symbol, mangled, arguments), machine))
    )
    _keep_only(module, symbol)
    _optimise(module, machine)
    return bytes(machine.emit_object(module))


def _lower(
    function: NativeFunction, arguments: tuple[types.Type, ...]
) -> tuple[CPUCodeLibrary, str]:
    compiled = numba.njit(
        types.void(*arguments),
        boundscheck=False,
        error_model="numpy",  # a division never raises
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function.python)
    overload = compiled.overloads[arguments]
    return overload.library, overload.fndesc.llvm_func_name


def _c_wrapper(symbol: str, mangled: str, arguments: tuple[types.Type, ...]) -> str:
    """LLVM assembly of `void symbol(...)`; Numba's own convention adds two result slots."""
    kinds = [
        "ptr" if isinstance(kind, types.CPointer) else f"i{kind.bitwidth}" for kind in arguments
    ]
    passed = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(kinds))
    return f"""
declare i32 @"{mangled}"(ptr, ptr, {", ".join(kinds)})
define void @{symbol}({passed}) {{
  %result = alloca ptr
  %error = alloca ptr
  %status = call i32 @"{mangled}"(ptr %result, ptr %error, {passed})
  ret void
}}
"""


def target_machine() -> llvm.TargetMachine:
    """LLVM's for the instruction set that this process compiles for."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    made_for = processor.SETS[processor.instruction_set()]
    target = llvm.Target.from_triple(_triple(made_for))
    own = not processor.is_stated()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name() if own else made_for.processor,
        features=llvm.get_host_cpu_features().flatten() if own else made_for.features,
        opt=3,
        reloc="pic",
        codemodel="small",  # data within 2 GB of the code: relative to it, whatever the place
    )


def _triple(made_for: processor.Instructions) -> str:
    return f"{made_for.machine}-unknown-linux-gnu"  # ELF, which the linker reads


def _retargeted(assembly: str, machine: llvm.TargetMachine) -> str:
    """The IR of Numba, which was made for this machine, as IR for the target.

    Instructions of the target stand in it under names that this machine's LLVM doesn't look into.
    """
    lines = [line for line in assembly.splitlines() if not line.startswith("target ")]
    made_for = processor.SETS[processor.instruction_set()]
    head = f'target triple = "{_triple(made_for)}"\ntarget datalayout = "{machine.target_data}"\n'
    return head + "\n".join(lines).replace(FOREIGN, "llvm.")


def _keep_only(module: llvm.ModuleRef, symbol: str) -> None:
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = llvm.Linkage.internal
    for variable in module.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
