"""Limits as input: the least extra arithmetic that fits, and a sentence that keeps its word."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from test_strips import chain, planner
from test_two_passes import Block

from cases import model as model_case
from midge.runtime.errors import PlanError
from midge.runtime.limits import FEWEST, within
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model
from midge.runtime.planner import Planner
from midge.runtime.program import Program

DIGITS = model_case("digits").model()
# what the sentence says -> the options that are meant
WAYS = {
    r"([\d,]+) bytes layer by layer": {"strategy": "layers"},
    r"([\d,]+) bytes with row streaming": {"strategy": "rows"},
    r"([\d,]+) bytes if the input comes by row": {"input_by_row": True},
    r"([\d,]+) bytes in strips with [\d.]+ % more arithmetic and the input by row": {
        "input_by_row": True,
        "max_extra_macs": 1.0,
    },
}


def candidates(found: Planner) -> list[Program]:
    """A program for every point of the curve of bytes against arithmetic."""
    stages = [found, *found._stages(found.macs(1.0))]
    plans = (stages[point.twice]._of_point(point) for point in found.pareto(1.0))
    return [plan for plan in plans if plan is not None]


@pytest.mark.parametrize("model", [chain(), Block("int8", 0).made()], ids=["chain", "block"])
def test_least_arithmetic_of_all_that_fit(model: bytes) -> None:
    """For every limit below what rows need, no point of the curve that fits does less."""
    found = planner(model, "cortex-m4")
    rows = replace(found, room=FEWEST).plan("rows").arena_bytes
    plans = candidates(found)
    limits = sorted({plan.arena_bytes for plan in plans if plan.arena_bytes < rows}, reverse=True)
    for ram in limits[:6]:
        best = within(found, ram, ("layers", "rows"), 1.0)
        fitting = [plan.extra_macs for plan in plans if plan.arena_bytes <= ram]
        assert best.arena_bytes <= ram and 0 < best.extra_macs <= min(fitting)


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("ram", [200, 1200, 2500])
def test_each_way_of_the_sentence_fits_where_it_is_granted(target: str, ram: int) -> None:
    with pytest.raises(PlanError, match=r"--ram grants [\d,]+; its largest buffer") as refused:
        compile_model(DIGITS, target, Options(ram=ram))
    ways = {form: re.search(form, str(refused.value)) for form in WAYS}
    assert sum(way is not None for way in ways.values()) >= 2
    needs = [
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) bytes (?!$)", str(refused.value))
    ]
    told = needs[: str(refused.value).count(" or ") + 1]
    assert told == sorted(told, reverse=True)  # each less than what was said before
    for form, way in ways.items():
        if way is not None:
            need = int(way[1].replace(",", ""))
            assert need > ram or "by row" in form
            program = compile_model(DIGITS, target, Options(ram=need, **WAYS[form]))
            assert program.arena_bytes <= need
