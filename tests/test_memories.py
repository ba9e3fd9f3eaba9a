"""An arena over several memories: the placement against brute force, replayed, and run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import build_tflite as build
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import random_inputs
from random_networks import networks
from test_memory import is_valid, problems
from test_segments import PROPERTY, assert_reference, inputs_of

from cases import model as model_case
from midge.kernels.reference import ReferenceBackend
from midge.runtime.backend import find_backend
from midge.runtime.errors import MissingTool, PlanError, ProgramError, TargetError
from midge.runtime.memories import NoRoom, plan_memories
from midge.runtime.memory import Overlap, Request
from midge.runtime.options import Grant, Options
from midge.runtime.pipeline import compile_model, lower_nodes
from midge.runtime.program import Program, Region, Spread
from midge.runtime.program_check import check_program
from midge.runtime.program_file import from_bytes, to_bytes
from midge.runtime.replay import replay
from midge.sim.qemu import find_tool, run_tool
from midge.targets.boards import OTHER_RAM_BYTES, find_board
from midge.targets.cortex_m.addresses import base_of
from midge.targets.cortex_m.backend import CortexMBackend, CortexMExecutor
from midge.targets.cortex_m.exports import FORMATS, export
from midge.targets.cortex_m.image import build_image
from midge.targets.cortex_m.printer import print_model
from midge.tools.cli import main

DIGITS = model_case("digits")


def grants(*sizes: int) -> tuple[Grant, ...]:
    return tuple(Grant(f"memory_{number}", size) for number, size in enumerate(sizes))


def split(program: Program, part: float) -> tuple[Grant, ...]:
    """A fast memory with a part of what the program needs, and a slow one with all of it."""
    fast = max(int(program.arena_bytes * part), 1)
    return grants(fast, program.arena_bytes + 64)


def checked(model: bytes, target: str = "host", **options: object) -> Program:
    """A plan whose replay is right, whose file reads back, and that keeps to what is granted."""
    program = compile_model(model, target, Options(**options))
    replay(program, lower_nodes(program.graph, find_backend(target)))
    check_program(program, "program")
    for region, grant in zip(program.regions, program.regions, strict=True):
        assert region.lower_bound <= region.bytes <= grant.granted
    back = from_bytes(to_bytes(program))
    assert back.spread == program.spread and to_bytes(back) == to_bytes(program)
    return program


# ---- the placement -----------------------------------------------------------------------------


def least_cost(
    requests: list[Request], overlaps: list[Overlap], accesses: dict[str, int], sizes: list[int]
) -> int | None:
    """By trying every memory and every offset for every buffer."""
    places = [
        [(m, at) for m, size in enumerate(sizes) for at in range(size - r.size + 1)]
        for r in requests
    ]
    costs = []
    for chosen in product(*places):
        memory = {r.key: m for r, (m, _) in zip(requests, chosen, strict=True)}
        offsets = {r.key: at for r, (_, at) in zip(requests, chosen, strict=True)}
        cost = sum(accesses[key] * m for key, m in memory.items())
        if costs and cost >= min(costs):
            continue
        if all(
            is_valid(
                {k: at for k, at in offsets.items() if memory[k] == m},
                [r for r in requests if memory[r.key] == m],
                [o for o in overlaps if memory[o.over] == memory[o.under] == m],
            )
            for m in range(len(sizes))
        ):
            costs.append(cost)
    return min(costs, default=None)


@settings(max_examples=60, deadline=None)
@given(problems(), st.lists(st.integers(2, 8), min_size=2, max_size=2), st.data())
def test_placements_are_valid_and_exact_ones_the_cheapest(problem, sizes, data) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("ortools", reason="exact plans need OR-Tools (midge[host])")
    requests, overlaps = problem
    accesses = {r.key: data.draw(st.integers(0, 20)) for r in requests}
    least = least_cost(requests, overlaps, accesses, sizes)
    for exact in (False, True):
        try:
            plan = plan_memories(requests, overlaps, accesses, grants(*sizes), exact=exact)
        except NoRoom:
            assert least is None or not exact
            continue
        assert least is not None and plan.least_cost <= least <= plan.cost
        assert plan.cost == least or not exact
        for region in plan.regions:
            inside = [
                r for r in requests if 0 <= plan.offsets[r.key] - region.offset < region.bytes
            ]
            assert sum(accesses[r.key] for r in inside) == region.accesses
            offsets = {r.key: plan.offsets[r.key] - region.offset for r in inside}
            own = [o for o in overlaps if {o.over, o.under} <= offsets.keys()]
            assert is_valid(offsets, inside, own) and region.bytes <= region.granted
            assert max(offsets[r.key] + r.size for r in inside) == region.bytes


def test_what_fits_into_the_first_memory_is_there() -> None:
    alone = compile_model(DIGITS.model(), "cortex-m4", Options(strategy="layers"))
    room = grants(alone.arena_bytes, 1 << 20)
    program = checked(DIGITS.model(), "cortex-m4", strategy="layers", memories=room)
    assert [r.name for r in program.regions] == ["memory_0"] and program.spread.cost == 0
    assert program.constants == alone.constants and program.arena_bytes == alone.arena_bytes


def test_the_hotter_buffers_are_in_the_faster_memory() -> None:
    """A convolution reads its window from its scratch for every filter."""
    alone = compile_model(DIGITS.model(), "cortex-m4", Options(strategy="layers"))
    program = checked(DIGITS.model(), "cortex-m4", strategy="layers", memories=split(alone, 0.3))
    first, second = program.regions
    assert first.accesses / first.bytes > second.accesses / second.bytes
    assert program.spread.cost == second.accesses == program.spread.least_cost
    scratch = [b for b in program.buffers if b.name.startswith("scratch")]
    assert scratch and all(program.spread.region(b.offset) is first for b in scratch)


# ---- the bits ----------------------------------------------------------------------------------


@settings(max_examples=25, **PROPERTY)
@given(networks(), st.sampled_from(["layers", "rows", "patches", None]), st.data())
def test_random_networks_on_this_machine(model: bytes, strategy: str | None, data) -> None:  # type: ignore[no-untyped-def]
    options = {"exact": data.draw(st.booleans()), "strategy": strategy}
    alone = compile_model(model, "host", Options(**options))
    part = data.draw(st.floats(0, 1))
    try:
        program = checked(model, memories=split(alone, part), **options)
    except PlanError as error:
        assert "--memory grants" in str(error)
        assume(False)
    inputs = inputs_of(program)
    assert_reference(find_backend("host").build(program).run(inputs), model)


@pytest.fixture
def executors() -> Iterator[list[CortexMExecutor]]:
    opened: list[CortexMExecutor] = []
    yield opened
    for executor in opened:
        executor.close()


def on_board(executors, model: bytes, target: str, part: float, **options: object):  # type: ignore[no-untyped-def]
    """An executor in two memories, and the program in one."""
    alone = compile_model(model, target, Options(**options))
    program = checked(model, target, memories=split(alone, part), **options)
    assert len(program.regions) == 2
    try:
        executors.append(CortexMBackend(target).build(program))
    except MissingTool as error:
        pytest.skip(str(error))
    return executors[-1], alone


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imc"])
def test_digits_in_two_memories_of_every_board(executors, target: str) -> None:  # type: ignore[no-untyped-def]
    executor, _ = on_board(executors, DIGITS.model(), target, 0.4)
    inputs = random_inputs(DIGITS.model(), 3)
    assert_same(executor.run(inputs), reference(DIGITS.model(), inputs))
    # Nothing that was not foreseen, and no far-fetched foresight.
    assert executor.stack_bytes <= executor.stack_bound <= 2 * executor.stack_bytes


@pytest.mark.parametrize(
    "options",
    [{"strategy": "layers"}, {"strategy": "rows"}, {"input_by_row": True, "max_extra_macs": 0.5}],
    ids=str,
)
def test_every_strategy(executors, options) -> None:  # type: ignore[no-untyped-def]
    executor, _ = on_board(executors, DIGITS.model(), "cortex-m4", 0.5, **options)
    inputs = random_inputs(DIGITS.model(), 1)
    assert_same(executor.run(inputs), reference(DIGITS.model(), inputs))


def test_trace_and_profile_by_row(executors) -> None:  # type: ignore[no-untyped-def]
    executor, _ = on_board(executors, DIGITS.model(), "cortex-m4", 0.5, input_by_row=True)
    inputs = random_inputs(DIGITS.model(), 1)
    found = {tensor: value for _, tensor, value in executor.trace(inputs)}
    reference = ReferenceBackend().build(compile_model(DIGITS.model(), "reference"))
    wanted = {tensor: value for _, tensor, value in reference.trace(inputs)}
    assert len(found.keys() & wanted.keys()) >= len(wanted) - 1
    for tensor in found.keys() & wanted.keys():
        np.testing.assert_array_equal(found[tensor], wanted[tensor])
    profile = executor.profile(inputs)
    assert 0 < profile.total - sum(cost.cost for cost in profile.calls) < 0.1 * profile.total


@pytest.mark.parametrize("model", [build.svdf(), build.lstm()], ids=["svdf", "lstm"])
def test_state_in_one_of_the_memories_lives_on(executors, model: bytes) -> None:  # type: ignore[no-untyped-def]
    executor, _ = on_board(executors, model, "cortex-m4", 0.6)
    runs = [random_inputs(model, seed) for seed in range(3)]
    wanted = ReferenceBackend().build(compile_model(model, "reference"))
    for inputs in runs:
        assert_same(executor.run(inputs), wanted.run(inputs))


def reference(model: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    return ReferenceBackend().build(compile_model(model, "reference")).run(inputs)


def assert_same(actual: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for a, w in zip(actual, wanted, strict=True):
        np.testing.assert_array_equal(a, w)


# ---- what is wrong is found --------------------------------------------------------------------


def two_memories(target: str = "cortex-m4") -> Program:
    alone = compile_model(DIGITS.model(), target, Options(strategy="rows"))
    return compile_model(
        DIGITS.model(), target, Options(strategy="rows", memories=split(alone, 0.5))
    )


def moved(program: Program, by: int) -> Program:
    """The same, its first memory said to end elsewhere."""
    assert program.spread is not None
    first, second = program.regions
    regions = (
        replace(first, bytes=first.bytes + by),
        replace(second, offset=second.offset + by, bytes=second.bytes - by),
    )
    return replace(program, spread=replace(program.spread, regions=regions))


@pytest.mark.parametrize("by", [-16, 16])
def test_a_buffer_in_two_memories_is_found(by: int) -> None:
    program = moved(two_memories(), by)
    with pytest.raises(PlanError, match=r"leave memory memory_\d, which ends at \d+"):
        replay(program, lower_nodes(program.graph, find_backend(program.target)))
    with pytest.raises(ProgramError, match="compile the model again"):
        check_program(program, "program")


@pytest.mark.parametrize(
    "change",
    [
        lambda spread: replace(spread, row_tables=spread.row_tables[1:]),
        lambda spread: replace(spread, row_tables=((0, 1 << 30),)),
        lambda spread: replace(spread, row_tables=(spread.row_tables[0],) * 2),
        lambda spread: replace(spread, words=dict.fromkeys(spread.words, ())),
        lambda spread: replace(spread, regions=spread.regions[:1]),
    ],
)
def test_hostile_programs_are_refused(change) -> None:  # type: ignore[no-untyped-def]
    program = two_memories()
    with pytest.raises(ProgramError, match="compile the model again"):
        check_program(replace(program, spread=change(program.spread)), "program")


@pytest.mark.parametrize(
    "origins, base",
    [
        ([None, None], 0),
        ([0x20000000, 0x60000000], 0),
        ([0x20000000, 0xC0000000], 0xC0000000),
        ([0x81000000, 0x84000000], 0x81000000),
    ],
)
def test_base_has_every_memory_within_its_reach(origins, base: int) -> None:  # type: ignore[no-untyped-def]
    assert base_of(origins) == base


def test_memories_too_far_apart_are_refused() -> None:
    with pytest.raises(TargetError, match="0x0, 0x60000000, 0xc0000000 don't lie within 2 GB"):
        base_of([0, 0x60000000, 0xC0000000])


# ---- what is printed ---------------------------------------------------------------------------


def test_header_asks_for_what_the_plan_states() -> None:
    program = two_memories()
    header = print_model(program)["model.h"]
    sizes = re.findall(r"#define MIDGE_MODEL_MEMORY_(MEMORY_\d)_BYTES (\d+)", header)
    assert sizes == [(r.name.upper(), str(r.bytes)) for r in program.regions]
    assert "#define MIDGE_MODEL_ARENA_BYTES MIDGE_MODEL_MEMORY_MEMORY_0_BYTES" in header


@pytest.mark.parametrize("form", FORMATS)
def test_exports_define_every_memory(form: str) -> None:
    program = two_memories()
    texts = "".join(export(form, program, print_model(program)).values())
    for region in program.regions:
        assert f"int8_t midge_model_memory_{region.name}[MIDGE_MODEL_MEMORY_" in texts
    if form in ("arduino", "zephyr"):
        assert f"{program.regions[1].bytes} bytes in memory memory_1" in texts


def test_a_board_has_its_memories(capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The firmware's linker puts the arrays where the board has them."""
    board = find_board("mps3-an547")
    granted = board.grants(784)
    assert [(g.name, g.origin) for g in granted] == [("dtcm", 0x20000000), ("ram", 0x21000000)]
    assert granted[1].bytes == board.ram.bytes - board.stack_bytes - 784 - OTHER_RAM_BYTES
    little = (replace(granted[0], bytes=4096), granted[1])
    program = checked(DIGITS.model(), board.target, memories=little)
    assert len(program.regions) == 2
    try:
        image = build_image(program, board, tmp_path)
    except MissingTool as error:
        pytest.skip(str(error))
    listing = run_tool([find_tool(f"{board.compiler}nm"), image.elf], tmp_path, 60)
    for region, memory in zip(program.regions, board.memories, strict=True):
        found = re.search(rf"(\w+) \w midge_model_memory_{region.name}$", listing, re.MULTILINE)
        assert found is not None
        at = int(found[1], 16)
        assert memory.origin <= at and at + region.bytes <= memory.origin + memory.bytes
    path = tmp_path / "digits.tflite"
    path.write_bytes(DIGITS.model())
    code, plan = verb(capsys, "plan", str(path), "--board", "nucleo-h743zi")
    assert code == 0 and [m["name"] for m in plan["memories"]] == ["dtcm"]


def verb(capsys, *words: str) -> tuple[int, dict]:  # type: ignore[no-untyped-def, type-arg]
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_verbs_say_which_memory(capsys, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "digits.tflite"
    path.write_bytes(DIGITS.model())
    words = (str(path), "--target", "cortex-m4", "--memory", "fast=2K,slow=16K")
    code, plan = verb(capsys, "plan", *words, "--verify", "--html", str(tmp_path / "plan.html"))
    assert code == 0 and plan["verified_bytes"] > 0
    assert [m["name"] for m in plan["memories"]] == ["fast", "slow"]
    for memory in plan["memories"]:
        inside = [b for b in plan["buffers"] if b["memory"] == memory["name"]]
        assert max(b["offset"] + b["size"] for b in inside) <= memory["bytes"] <= memory["granted"]
    assert sum(m["bytes"] for m in plan["memories"]) == plan["arena_bytes"]
    assert "slow" in (tmp_path / "plan.html").read_text()
    code, done = verb(capsys, "run", *words)
    assert code == 0 and done["memories"] == plan["memories"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--memory", "a=1K,b=2K"], "bytes layer by layer or .* grants 1,024 in a and 2,048 in b"),
        (["--memory", "fast=1K,slow=9K", "--ram", "9K"], "--ram limits one memory"),
        (["--memory", "a b=1K"], "different names of ASCII letters"),
        (["--memory", "a=1K,A=1K"], "different names of ASCII letters"),
        (["--memory", "a=0,b=1K"], "a memory has one byte or more"),
        (["--memory", "a=1K,b=9K", "--target", "interpreter"], "target interpreter has one memory"),
    ],
)  # fmt: skip
def test_refusals(capsys, tmp_path, words: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "digits.tflite"
    path.write_bytes(DIGITS.model())
    code, answer = verb(capsys, "plan", str(path), *words)
    assert code == 1 and re.search(message, answer["error"])


def test_usage_of_memory(capsys) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as done:
        main(["plan", "model", "--memory", "fast"])
    assert done.value.code == 2
    assert "fast=64K,slow=2M" in capsys.readouterr().err


def test_spread_names_the_region_of_a_byte() -> None:
    regions = (Region("a", 0, 10, 16, 10, 5), Region("b", 16, 4, 16, 4, 2))
    spread = Spread(regions, 2, 2, (), {})
    assert [spread.region(at).name for at in (0, 9, 16, 19)] == ["a", "a", "b", "b"]
