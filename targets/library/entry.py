"""The functions that a library exports, as LLVM assembly: they know one model's memory.

    int midge_NAME_reset(void *memory)   make `memory` ready, state at its initial values; 0 if done
    void midge_NAME_run(void *memory)    one inference, from the inputs in `memory` to its outputs
    int midge_NAME_instructions(void)    which instruction set this processor's kernels use

The memory is the caller's, aligned to 64 bytes: the arena, then the words of the dispatch loop, the
addresses of the kernels and the loop's descriptor. The library holds no writable data, so that one
library serves any number of memories and threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import llvmlite.binding as llvm

from ...kernels.native.linker import AARCH64, X86_64
from ...kernels.native.processor import SETS, sets_of

LINE = 64  # alignment of the memory, and what vectors may read beyond a tensor
DESCRIPTOR_WORDS = 8  # int64: those of `dispatch`, and the address of the dispatch loop itself
EXPORTS = ("reset", "run", "instructions")
SUPPORT = ("memset", "memcpy", "memmove")
MACHINES = {"x86_64": X86_64, "aarch64": AARCH64}


@dataclass(frozen=True)
class Memory:
    """Offsets in a model's memory, in bytes."""

    arena_bytes: int
    words: int
    word_count: int
    kernels: int
    kernel_count: int

    @property
    def descriptor(self) -> int:
        return self.kernels + 8 * self.kernel_count

    @property
    def size(self) -> int:
        return up(self.descriptor + 8 * DESCRIPTOR_WORDS, LINE)


def memory_of(arena_bytes: int, word_count: int, kernel_count: int) -> Memory:
    words = up(arena_bytes + LINE, LINE)
    return Memory(arena_bytes, words, word_count, up(words + 4 * word_count, 8), kernel_count)


def up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def kernel_symbol(instructions: str, number: int) -> str:
    """Of kernel `number` in one of the library's sets; -1 is the dispatch loop."""
    name = instructions.replace("-", "_")
    return f"{name}_dispatch" if number < 0 else f"{name}_kernel_{number}"


def entry_object(
    prefix: str, machine: str, sets: Sequence[str], memory: Memory, state: Mapping[int, int]
) -> bytes:
    """An object file of `EXPORTS` and `SUPPORT`.

    It needs the hidden symbols `constants`, `words`, `initial` and every `kernel_symbol`. `state`:
    arena offset -> size of each state tensor, whose initial values lie one by one at `initial`.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(f"{machine}-unknown-linux-gnu")
    made_for = SETS[sets[-1]]  # the least of the machine
    maker = target.create_target_machine(
        cpu=made_for.processor, features=made_for.features, opt=2, reloc="pic", codemodel="small"
    )
    text = _assembly(prefix, machine, sets, memory, state)
    module = llvm.parse_assembly(f'target triple = "{machine}-unknown-linux-gnu"\n{text}')
    module.data_layout = str(maker.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(maker, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(maker.emit_object(module))


def _assembly(
    prefix: str, machine: str, sets: Sequence[str], memory: Memory, state: Mapping[int, int]
) -> str:
    hidden = ["constants", "words", "initial"]
    kernels = range(-1, memory.kernel_count)
    hidden += [kernel_symbol(name, number) for name in sets for number in kernels]
    declared = "\n".join(f"@{name} = external hidden constant i8" for name in hidden)
    cases = "\n".join(f"i32 {i}, label %set_{i}" for i in range(len(sets)))
    blocks = "\n".join(_choose(i, name, memory) for i, name in enumerate(sets))
    # A table of addresses, which LLVM would make of the choice of a set, would be writable data.
    return f"""
{declared}
{_SUPPORT}
{_INSTRUCTIONS[machine]}
define i32 @{prefix}_instructions() nounwind {{
  %set = call i32 @processor_set()
  %narrower = sub i32 %set, {sets_of(machine).index(sets[0])}
  %wider = icmp slt i32 %narrower, 0
  %own = select i1 %wider, i32 0, i32 %narrower
  ret i32 %own
}}
define i32 @{prefix}_reset(ptr %memory) nounwind "no-jump-tables"="true" {{
  %address = ptrtoint ptr %memory to i64
  %low = and i64 %address, {LINE - 1}
  %aligned = icmp eq i64 %low, 0
  br i1 %aligned, label %go, label %refuse
refuse:
  ret i32 1
go:
  %words = getelementptr i8, ptr %memory, i64 {memory.words}
  %copied = call ptr @memcpy(ptr %words, ptr @words, i64 {4 * memory.word_count})
{_initial(state)}
  %kernels = getelementptr i8, ptr %memory, i64 {memory.kernels}
  %descriptor = getelementptr i64, ptr %memory, i64 {memory.descriptor // 8}
{_store("ptr", "%memory", 0)}
{_store("ptr", "@constants", 1)}
{_store("ptr", "%words", 2)}
{_store("ptr", "%kernels", 3)}
{_store("i64", "0", 4)}
{_store("i64", str(memory.word_count), 5)}
  %set = call i32 @{prefix}_instructions()
  switch i32 %set, label %set_{len(sets) - 1} [{cases}]
{blocks}
}}
define void @{prefix}_run(ptr %memory) nounwind {{
  %descriptor = getelementptr i64, ptr %memory, i64 {memory.descriptor // 8}
  %place = getelementptr i64, ptr %descriptor, i64 6
  %dispatch = load ptr, ptr %place
  call void %dispatch(ptr %descriptor)
  ret void
}}
"""


def _store(kind: str, value: str, place: int) -> str:
    return (
        f"  %place_{place} = getelementptr i64, ptr %descriptor, i64 {place}\n"
        f"  store {kind} {value}, ptr %place_{place}"
    )


def _initial(state: Mapping[int, int]) -> str:
    lines, at = [], 0
    for number, (offset, size) in enumerate(state.items()):
        lines.append(
            f"  %state_{number} = getelementptr i8, ptr %memory, i64 {offset}\n"
            f"  %initial_{number} = getelementptr i8, ptr @initial, i64 {at}\n"
            f"  %set_{number}_to = call ptr @memcpy(ptr %state_{number}, ptr %initial_{number}, "
            f"i64 {size})"
        )
        at += size
    return "\n".join(lines)


def _choose(number: int, instructions: str, memory: Memory) -> str:
    """A block that puts the kernels of one set into the table."""
    lines = [f"set_{number}:"]
    for kernel in range(memory.kernel_count):
        place = f"%slot_{number}_{kernel}"
        lines.append(f"  {place} = getelementptr i64, ptr %kernels, i64 {kernel}")
        lines.append(f"  store ptr @{kernel_symbol(instructions, kernel)}, ptr {place}")
    place = f"%slot_{number}_dispatch"
    lines.append(f"  {place} = getelementptr i64, ptr %descriptor, i64 6")
    lines.append(f"  store ptr @{kernel_symbol(instructions, -1)}, ptr {place}")
    return "\n".join([*lines, "  ret i32 0"])


# What kernels take from the C library elsewhere. They are loops, and must not become calls.
_SUPPORT = """
define hidden ptr @memset(ptr %y, i32 %value, i64 %count) "no-builtins" nounwind {
start:
  %byte = trunc i32 %value to i8
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %start], [%next, %loop]
  %to = getelementptr inbounds i8, ptr %y, i64 %i
  store i8 %byte, ptr %to
  %next = add nuw i64 %i, 1
  %last = icmp eq i64 %next, %count
  br i1 %last, label %done, label %loop
done:
  ret ptr %y
}
define hidden ptr @memcpy(ptr noalias %y, ptr noalias %x, i64 %count) "no-builtins" nounwind {
start:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %start], [%next, %loop]
  %from = getelementptr inbounds i8, ptr %x, i64 %i
  %to = getelementptr inbounds i8, ptr %y, i64 %i
  %byte = load i8, ptr %from
  store i8 %byte, ptr %to
  %next = add nuw i64 %i, 1
  %last = icmp eq i64 %next, %count
  br i1 %last, label %done, label %loop
done:
  ret ptr %y
}
define hidden ptr @memmove(ptr %y, ptr %x, i64 %count) "no-builtins" nounwind {
start:
  %a = ptrtoint ptr %y to i64
  %b = ptrtoint ptr %x to i64
  %distance = sub i64 %a, %b
  %ahead = icmp ult i64 %distance, %count
  br i1 %ahead, label %backwards, label %forwards
forwards:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %loop
loop:
  %i = phi i64 [0, %forwards], [%next, %loop]
  %from = getelementptr inbounds i8, ptr %x, i64 %i
  %to = getelementptr inbounds i8, ptr %y, i64 %i
  %byte = load i8, ptr %from
  store i8 %byte, ptr %to
  %next = add nuw i64 %i, 1
  %last = icmp eq i64 %next, %count
  br i1 %last, label %done, label %loop
backwards:
  %j = phi i64 [%count, %start], [%before, %backwards]
  %before = sub nuw i64 %j, 1
  %back_from = getelementptr inbounds i8, ptr %x, i64 %before
  %back_to = getelementptr inbounds i8, ptr %y, i64 %before
  %back_byte = load i8, ptr %back_from
  store i8 %back_byte, ptr %back_to
  %first = icmp eq i64 %before, 0
  br i1 %first, label %done, label %backwards
done:
  ret ptr %y
}
"""

# 0 is the machine's widest set in `SETS`. AArch64: bits 44..47 of ID_AA64ISAR0_EL1 (dot
# products) and 52..55 of ID_AA64ISAR1_EL1 (matrices), which Linux lets programs read. x86-64: see
# `CPUID`.
_INSTRUCTIONS = {
    "aarch64": """
define internal i32 @processor_set() nounwind {
  %word = call i64 @llvm.read_register.i64(metadata !0)
  %shifted = lshr i64 %word, 44
  %field = and i64 %shifted, 15
  %none = icmp eq i64 %field, 0
  %more = call i64 @llvm.read_register.i64(metadata !1)
  %more_shifted = lshr i64 %more, 52
  %matrix = and i64 %more_shifted, 15
  %no_matrix = icmp eq i64 %matrix, 0
  %dot = select i1 %no_matrix, i32 1, i32 0
  %set = select i1 %none, i32 2, i32 %dot
  ret i32 %set
}
declare i64 @llvm.read_register.i64(metadata)
!0 = !{!"ID_AA64ISAR0_EL1"}
!1 = !{!"ID_AA64ISAR1_EL1"}
""",
    "x86_64": """
declare hidden i32 @cpuid()
define internal i32 @processor_set() nounwind {
  %set = call i32 @cpuid()
  ret i32 %set
}
""",
}

# 0 to 3 in eax. LLVM has no instruction for it that can be assembled on every machine:
#   push rbx; mov eax, 1; cpuid; bt ecx, 27 (xgetbv is there); jnc none
#   xor ecx, ecx; xgetbv; mov r8d, eax (what the system saves); mov eax, 7; xor ecx, ecx; cpuid
#   mov eax, r8d; and eax, 6; cmp eax, 6; jne none (256-bit registers)
#   mov eax, ebx; and eax, 0x120; cmp eax, 0x120; jne none (AVX2, BMI2)
#   and r8d, 0xe6; cmp r8d, 0xe6; jne narrow (512-bit registers)
#   and ebx, 0xc0030000; cmp ebx, 0xc0030000; jne narrow (AVX512 F, DQ, BW, VL)
#   bt ecx, 11; jnc narrow (VNNI); xor eax, eax; pop rbx; ret
#   narrow: mov eax, 7; mov ecx, 1; cpuid; bt eax, 4; jnc avx2 (AVX-VNNI); mov eax, 1; pop rbx; ret
#   avx2: mov eax, 2; pop rbx; ret; none: mov eax, 3; pop rbx; ret
CPUID = bytes.fromhex(
    "53b8010000000fa20fbae11b737231c90f01d04189c0b80700000031c90fa24489c083e00683f806755689d82520"
    "0100003d2001000075484181e0e60000004181f8e6000000751881e3000003c081fb000003c0750a0fbae10b7304"
    "31c05bc3b807000000b9010000000fa20fbae0047307b8010000005bc3b8020000005bc3b8030000005bc3"
)
