"""Costs of machines that aren't at hand: predicted, counted, modelled; energy of boards."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.errors import InputError, TargetError
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.ops import macs
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.boards import boards
from midge.targets.split.analytic import accelerator_profile
from midge.targets.split.costs import Profile
from midge.targets.split.predict import (
    TERMS,
    Predictor,
    Sample,
    kinds_of,
    samples_of,
    terms_of,
    train,
)
from midge.tools.cli import parse_and_run
from midge.tools.split_predictor import held_out
from midge.tools.zoo import OWN

DIGITS = OWN / "digits.tflite"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return rewrite(read_model(DIGITS), Options())


def truth(kind: str, terms: tuple[float, ...]) -> float:
    """A machine whose kernels cost exactly what a regression can say."""
    costs = {"conv2d": (50.0, 0.7, 0.0, 11.0, 4.0, 0.1), "add": (90.0, 0.0, 2.0, 2.0, 0.0, 0.0)}
    return sum(a * b for a, b in zip(costs[kind], terms, strict=True))


def drawn(draw: random.Random, model: str, count: int) -> list[Sample]:
    samples = []
    for _ in range(count):
        kind = draw.choice(("conv2d", "add"))
        terms = (1.0, *(float(draw.randint(1, 100_000)) for _ in TERMS[1:]))
        samples.append(Sample(model, (f"{kind} int8", kind, "other"), terms, truth(kind, terms)))
    return samples


def test_a_machine_that_is_linear_is_predicted_exactly() -> None:
    draw = random.Random(1)
    samples = [s for name in "abc" for s in drawn(draw, name, 60)]
    for row in held_out("t", "instructions", samples):
        assert abs(row["error"]) < 0.02
        assert row["within_10_percent"] > 0.95
    predictor = train("t", "instructions", samples)
    assert min(c for v in predictor.coefficients.values() for c in v) >= 0
    assert predictor.models == ("a", "b", "c")


def test_a_kind_that_was_not_seen_is_predicted_with_its_operator_or_all() -> None:
    samples = drawn(random.Random(2), "a", 80)
    predictor = train("t", "ms", samples)
    terms = samples[0].terms
    by_operator = predictor.cost(("conv2d int8 9x9", "conv2d", "other"), terms)
    assert by_operator == pytest.approx(truth("conv2d", terms), rel=0.1)
    assert predictor.cost(("x", "strange", "other"), terms) > 0
    with pytest.raises(TargetError, match="trained without strange"):
        Predictor("t", "ms", {}, ()).cost(("x", "strange", "other"), terms)


def test_the_terms_of_a_convolution(graph: Graph) -> None:
    node = graph.nodes[0]  # 28x28x1 to 14x14x16, 3x3
    kernels = ("conv2d_paired_s8 stride 2", "conv2d_paired_s8", "conv2d", "other")
    assert kinds_of(node, "conv2d_paired_relu_s8") == kernels
    assert kinds_of(graph.nodes[13], "softmax_s8") == ("softmax_s8", "softmax", "other")
    products = macs(graph, node)
    assert terms_of(graph, node) == (1, products, 784, 14 * 14 * 16, products / 16, 9 * 16 + 16)
    program = compile_graph(graph, "cortex-m4")
    found = samples_of("m", program, {0: 5.0, 1: 0.0})
    assert [s.cost for s in found] == [5.0]


def test_a_predictor_makes_a_profile_and_survives_its_file(graph: Graph, tmp_path: Path) -> None:
    program = compile_graph(graph, "cortex-m4")
    costs = {i: 10.0 + macs(graph, n) for i, n in enumerate(graph.nodes)}
    samples = samples_of("m", program, costs)
    predictor = train("cortex-m4", "instructions", samples, cycles=1.5)
    predictor.save(tmp_path / "p.json")
    read = Predictor.load(tmp_path / "p.json")
    assert read.models == ("m",) and read.cycles == 1.5
    made = parse_and_run(["split", "profile", str(DIGITS), "--predict", str(tmp_path / "p.json"),
                          "--board", "nrf52840-dk", "-o", str(tmp_path / "d.json")])  # fmt: skip
    expected = sum(read.node_costs(graph)) * 1.5 / 64e6 * 1e3
    assert made["prefix_ms"][-1] == pytest.approx(expected)
    assert Profile.load(tmp_path / "d.json", graph).target == "cortex-m4, predicted"
    assert made["remarks"][0] == "predicted, and never held against a measurement"
    assert "kernels of which it saw fewer than 8: " in made["remarks"][1]
    with pytest.raises(TargetError, match="name the board"):
        read.profile(graph)
    (tmp_path / "bad.json").write_text('{"coefficients": {"a": [1]}}')
    with pytest.raises(InputError, match="not a predictor of"):
        Predictor.load(tmp_path / "bad.json")


def test_the_predictor_that_is_committed_knows_the_kernels_of_our_models(graph: Graph) -> None:
    predictor = Predictor.load(OWN / "cortex-m4-costs.json")
    assert (predictor.target, predictor.unit) == ("cortex-m4", "instructions")
    assert 1 < predictor.cycles < 2
    assert "off by 9.7% in the mean, by 37.1% at worst" in predictor.remarks(graph)[0]
    costs = predictor.node_costs(graph)
    assert min(costs) > 0
    assert 0.5 < sum(costs) / sum(macs(graph, n) for n in graph.nodes) < 3, "a MAC and its upkeep"


def test_the_accelerators_profile_is_the_sum_of_its_jobs(graph: Graph) -> None:
    pytest.importorskip("amaranth", reason="the accelerator needs Amaranth (midge[fpga])")
    from midge.hw.machine import Machine

    small, away = accelerator_profile(graph, Machine(), 1e6)
    assert away == [13], "softmax is the host's"
    assert small.node_ms[13] == 0 and min(small.node_ms[:13]) > 0
    fast, _ = accelerator_profile(graph, Machine(), 2e6)
    assert fast.prefix_ms[-1] == pytest.approx(small.prefix_ms[-1] / 2)
    large, _ = accelerator_profile(graph, Machine(rows=16, columns=16), 1e6)
    assert large.prefix_ms[-1] < small.prefix_ms[-1]


def test_boards_that_state_their_power_name_its_source() -> None:
    stated = [board for board in boards().values() if board.power is not None]
    assert len(stated) >= 2
    for board in stated:
        assert board.power is not None and board.power.source
        assert 0 < board.power.wait <= board.power.send < 1 and 0 < board.power.compute < 1


def test_energy_is_planned_by_the_boards_power(graph: Graph, tmp_path: Path) -> None:
    times = tuple(float(k) for k in range(len(graph.nodes) + 1))
    Profile(graph.sha256, "even", times).save(tmp_path / "even.json")
    asked = ["split", "plan", str(DIGITS), "--objective", "energy", "--device-slowdown", "10",
             "--device-profile", str(tmp_path / "even.json"),
             "--server-profile", str(tmp_path / "even.json"), "--mbit", "0.001"]  # fmt: skip
    found = parse_and_run([*asked, "--board", "nrf52840-dk"])
    assert found["cut"] == list(range(14))
    assert found["energy_mj"] == pytest.approx(140 * 0.00998)
    away = parse_and_run([*asked, "--board", "nrf52840-dk", "--mbit", "100", "--max-device-bytes",
                          "0"])  # fmt: skip
    sent = away["bytes"] / 12_500 * 0.0144
    waited = (14 + away["link_ms"] - away["bytes"] / 12_500) * 0.0138
    assert away["energy_mj"] == pytest.approx(sent + waited)
    with pytest.raises(InputError, match="states no power; "):
        parse_and_run([*asked, "--board", "microbit-v2"])
    assert json.dumps(found) and np.isfinite(found["energy_mj"])
