"""What the page of a plan says of its peak: every remedy is a plan that the option gives."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from test_strips import chain
from test_two_passes import Block

from midge.runtime.options import Options
from midge.runtime.pipeline import compile_model, pareto_curve
from midge.tools.cli import main
from midge.tools.plan_advice import peak_of


def test_remedies_are_what_their_options_give(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model, page = tmp_path / "m.tflite", tmp_path / "page.html"
    model.write_bytes(chain())

    def plan(*options: str) -> dict:  # type: ignore[type-arg]
        assert main(["plan", str(model), "--target", "cortex-m7", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    found = plan("--html", str(page))
    assert {"--strategy rows", "--input-by-row"} <= {r["option"] for r in found["remedies"]}
    sizes = [found["arena_bytes"], *(remedy["arena_bytes"] for remedy in found["remedies"])]
    assert sizes == sorted(set(sizes), reverse=True)
    text = page.read_text()
    for remedy in found["remedies"]:
        again = plan(*remedy["option"].split())
        assert (again["arena_bytes"], again["extra_macs"]) == (
            remedy["arena_bytes"],
            remedy["extra_macs"],
        )
        assert remedy["set_by"] == again["peak_nodes"]
        assert remedy["option"] in text and f"{remedy['arena_bytes']:,}" in text


def test_the_peak_is_at_what_reaches_highest() -> None:
    program = compile_model(chain(), "cortex-m4", Options(strategy="layers"))
    peak = peak_of(program)
    assert peak.operators == "conv2d 1" and peak.nodes == (1,)
    assert max(b.offset + b.size for b in peak.buffers) == program.arena_bytes
    assert [b.size for b in peak.buffers] == sorted((b.size for b in peak.buffers), reverse=True)


@pytest.mark.parametrize("by_row", [False, True])
def test_the_curve_has_patches_and_two_passes(by_row: bool) -> None:
    options, model = Options(input_by_row=by_row), Block("int8", 0).made()
    curve = pareto_curve(model, "cortex-m4", options)
    assert any(point.twice for point in curve)
    for before, after in pairwise(curve):
        assert before.bytes > after.bytes and before.extra_macs < after.extra_macs
    patches = pareto_curve(chain(), "cortex-m4", options, patches=True)
    assert any(s.patch_rows for p in patches for s in p.segments) != by_row  # of a whole input only
    whole = pareto_curve(chain(), "cortex-m4", options)
    for point in patches:
        assert any(p.bytes <= point.bytes and p.extra_macs <= point.extra_macs for p in whole)
