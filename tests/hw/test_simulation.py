"""The compiled simulation itself: its cache, its errors, wide ports, held rows."""

import numpy as np
import pytest

from midge.runtime.errors import ExecutionError, ToolError


@pytest.fixture
def adder():
    """A component with a wide port, a register and a `ready` that comes every third cycle."""
    pytest.importorskip("amaranth")
    from amaranth.hdl import Module, Signal
    from amaranth.lib import wiring
    from amaranth.lib.wiring import In, Out

    class Adder(wiring.Component):
        a: In(70)
        total: Out(70)
        ready: Out(1)

        def elaborate(self, platform):
            m = Module()
            phase = Signal(2)
            m.d.sync += phase.eq(phase + 1)
            m.d.comb += self.ready.eq(phase == 2)
            with m.If(phase == 2):
                m.d.sync += [phase.eq(0), self.total.eq(self.total + self.a)]
            return m

    return Adder


def wide(values):
    words = [[value >> 32 * place & 0xFFFF_FFFF for place in range(3)] for value in values]
    return np.array(words, np.uint32)


def test_wide_ports_and_held_rows(simulate, adder):
    simulation = simulate(adder())
    values = [(1 << 69) + 5, 7, (1 << 40) - 1]
    answer = simulation.play(3, {"a": wide(values)}, ["total"], hold="ready", limit=9)
    assert simulation.cycles == 9
    seen = [sum(int(word) << 32 * place for place, word in enumerate(row)) for row in
            answer["total"]]  # fmt: skip
    assert seen == [0, values[0], values[0] + 7]


def test_hold_that_never_comes_ends(simulate, adder):
    with pytest.raises(ExecutionError, match="ready must accept 2 rows in 5 cycles; it accepted 1"):
        simulate(adder()).play(2, {}, [], hold="ready", limit=5)


def test_unknown_port(simulate, adder):
    with pytest.raises(ToolError, match="has no port 'b'"):
        simulate(adder()).set("b", 1)


def test_two_simulations_of_a_component_are_apart(simulate, adder):
    first, second = simulate(adder()), simulate(adder())
    first.set("a", 3)
    first.step(6)
    assert first.play(1, {}, ["total"])["total"][0, 0] == 6
    assert second.play(1, {}, ["total"])["total"][0, 0] == 0


def test_library_is_built_once(simulate, adder, tmp_path, monkeypatch):
    from midge.sim import cxxrtl

    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path))
    path = cxxrtl.build(adder())
    assert [path] == list((tmp_path / "sim").iterdir())
    monkeypatch.setattr(cxxrtl, "_compile", lambda *_: pytest.fail("compiled again"))
    assert cxxrtl.build(adder()) == path


def test_a_name_that_is_being_written_is_no_library(simulate, tmp_path, monkeypatch):
    """An alias is empty for a moment, and then names the cache's folder."""
    from hw_blocks import SMALL

    from midge.hw.writer import OutputWriter
    from midge.sim import cxxrtl

    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path))
    path = cxxrtl.build(OutputWriter(SMALL))
    (alias,) = (tmp_path / "sim").glob("*.of")
    alias.write_text("")
    assert cxxrtl.build(OutputWriter(SMALL)) == path
    assert alias.read_text() == path.name


def test_cache_folder(monkeypatch, tmp_path):
    from midge.sim.cxxrtl import cache_folder

    monkeypatch.delenv("MIDGE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "midge" / "sim"
    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "sim"


def test_missing_compiler(simulate, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolError, match=r"needs a C\+\+ compiler, and 'no-such-compiler' is not"):
        simulate(None)  # refused before it is looked at


def test_missing_amaranth(monkeypatch):
    from midge.sim import cxxrtl

    monkeypatch.setattr(cxxrtl.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match="simulation needs amaranth, which is not there; pip "):
        cxxrtl.build(None)


def test_failed_compilation_leaves_nothing(simulate, adder, monkeypatch, tmp_path):
    from midge.sim import cxxrtl

    monkeypatch.setenv("MIDGE_CACHE", str(tmp_path))
    broken = cxxrtl.Recipe(flags=("-no-such-flag",))
    with pytest.raises(ToolError, match="could not compile the simulation: "):
        cxxrtl.build(adder(), broken)
    assert list((tmp_path / "sim").iterdir()) == []
