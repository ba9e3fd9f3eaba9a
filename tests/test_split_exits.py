"""Early exits: the answer of an exit is that of its graph, and it is left when it may or must."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError, TargetError
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.split.adaptive import AdaptiveExecutor
from midge.targets.split.client import EdgeClient, LinkError
from midge.targets.split.costs import Profile, costs_of
from midge.targets.split.cut import cut_at, cut_between, legal_cuts
from midge.targets.split.decisions import Decisions
from midge.targets.split.early_exit import EarlyExitExecutor
from midge.targets.split.exits import (
    ExitRules,
    confidence,
    exits_of,
    leaves_at,
    outcome,
    part_of,
    tune,
)
from midge.targets.split.planners import Link, Problem
from midge.targets.split.server import ModelServer
from midge.tools.cli import parse_and_run
from midge.tools.split_exits import exit_answers, load_labelled
from midge.tools.zoo import OWN

MODEL, CALIBRATION = OWN / "digits_exits.tflite", OWN / "digits_exits_calibration.npz"
NEVER, ALWAYS = 2.0, -1.0


@pytest.fixture(scope="module")
def graph() -> Graph:
    return compile_graph(rewrite(read_model(MODEL), Options())).graph


@pytest.fixture(scope="module")
def images(graph: Graph) -> np.ndarray:
    return load_labelled(graph, OWN / "digits_heldout.npz")[0]


@pytest.fixture(scope="module")
def server(graph: Graph):  # type: ignore[no-untyped-def]
    served = ModelServer(graph, "digits")
    served.start()
    yield served
    served.stop()


def rules(graph: Graph, *thresholds: float) -> ExitRules:
    thirds = (1 / 3,) * 3
    return ExitRules(graph.sha256, "top", thresholds, thirds, thirds, 1.0, 0.0, 1)


def whole(graph: Graph, image: np.ndarray) -> list[np.ndarray]:
    """The answers of the exits, the shallowest first."""
    executor = find_backend("host").build(compile_graph(graph))
    made = dict(zip(graph.outputs, executor.run([image]), strict=True))
    executor.close()
    return [made[e.output] for e in exits_of(graph)]


def test_exits_are_ordered_by_the_work_that_feeds_them(graph: Graph, images: np.ndarray) -> None:
    points = exits_of(graph)
    assert [e.macs for e in points] == [63_248, 1_986_928, 8_763_568]
    assert [e.output for e in points] != list(graph.outputs), "the file has them in another order"
    for point, answer in zip(points, whole(graph, images[0]), strict=True):
        alone = part_of(graph, point.nodes)
        made = find_backend("host").build(compile_graph(alone)).run([images[0]])
        np.testing.assert_array_equal(made[alone.outputs.index(point.output)], answer)


def test_a_model_with_one_output_has_no_exits() -> None:
    with pytest.raises(TargetError, match="several outputs of one shape, and this one has 1 of 1"):
        exits_of(rewrite(read_model(OWN / "digits.tflite"), Options()))


def test_the_accuracies_that_the_readme_states(tmp_path: Path) -> None:
    """Bits are exact, so these numbers are."""
    tuned = parse_and_run(["split", "exits", str(MODEL), "--samples", str(CALIBRATION),
                           "-o", str(tmp_path / "e.json")])  # fmt: skip
    assert [row["right"] for row in tuned["exits"]] == [373, 386, 390]
    assert tuned["right"] >= 390, "no loss was allowed"
    held = parse_and_run(["split", "exits", str(MODEL), "--exits", str(tmp_path / "e.json"),
                          "--samples", str(OWN / "digits_heldout.npz")])  # fmt: skip
    assert [row["right"] for row in held["exits"]] == [923, 968, 978]
    assert held["right"] == 971
    assert held["mean_macs"] == pytest.approx(805_090, abs=1)
    assert json.dumps(held)


def test_thresholds_are_the_best_of_all_combinations(graph: Graph) -> None:
    draw = np.random.default_rng(5)
    labels = draw.integers(0, 4, 40)
    answers = []
    for noise in (1.5, 0.8, 0.3):
        logits = np.eye(4)[labels] * 2 + draw.normal(0, noise, (40, 4))
        answers.append(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    for measure, loss in itertools.product(("top", "entropy"), (0.0, 0.1)):
        found = tune(graph, answers, labels, loss, measure)
        sure = np.stack([confidence(a, measure) for a in answers])
        right = np.stack([a.argmax(1) == labels for a in answers])
        macs = np.array([e.macs for e in exits_of(graph)])
        wanted = right[-1].mean() - loss - 1e-9
        every = itertools.product(*([*sorted(sure[i]), NEVER] for i in range(2)))
        least = min(
            macs[leaves_at(sure, t)].mean() for t in every if outcome(sure, right, t)[1] >= wanted
        )
        assert found.accuracy >= wanted
        assert found.mean_macs == pytest.approx(least)
        assert sum(found.shares) == pytest.approx(1)
        assert found.accuracies == tuple(right.mean(1))


def test_confidence_is_one_where_sure_and_zero_where_even() -> None:
    shares = np.array([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(confidence(shares, "entropy"), [1, 0, 0.5])
    np.testing.assert_allclose(confidence(shares, "top"), [1, 0.25, 0.5])


def test_bad_files_are_sentences(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text('{"sha256": 3}')
    with pytest.raises(InputError, match="not thresholds of `midge split exits"):
        ExitRules.load(tmp_path / "no.json", graph)
    rules(graph, 0.5, 0.5).save(tmp_path / "ok.json")
    assert ExitRules.load(tmp_path / "ok.json", graph) == rules(graph, 0.5, 0.5)
    other = rewrite(read_model(OWN / "digits.tflite"), Options())
    with pytest.raises(InputError, match="not of this one"):
        ExitRules.load(tmp_path / "ok.json", other)
    np.savez(tmp_path / "bad.npz", labels=np.zeros(3))
    with pytest.raises(InputError, match="with labels"):
        load_labelled(graph, tmp_path / "bad.npz")


# ---- running ----


@pytest.mark.parametrize(("thresholds", "exit_"), [((ALWAYS, NEVER), 0), ((NEVER, ALWAYS), 1),
                                                  ((NEVER, NEVER), 2)])  # fmt: skip
def test_an_exits_answer_has_the_bits_of_the_whole(
    graph, images, server, thresholds, exit_
) -> None:  # type: ignore[no-untyped-def]
    client = EdgeClient(server.address, "digits", deadline_s=120)
    expected = whole(graph, images[3])
    for position in (0, 3, 8, 12, len(graph.nodes)):
        cut = cut_at(graph, position)
        executor = EarlyExitExecutor(graph, cut, client, rules(graph, *thresholds))
        answer = executor.run([images[3]])
        assert len(answer) == 1
        here = set(executor.cut.device)
        reached = set(exits_of(graph)[exit_].nodes) <= here
        assert executor.left_at == (exit_ if reached else 2)
        np.testing.assert_array_equal(answer[0], expected[executor.left_at])
        assert (executor.exchange is not None) == (executor.left_at == 2 and position < 21)
        executor.close_parts()
    client.close()


def test_all_leave_at_the_one_exit_that_a_plan_chose(graph, images, server) -> None:  # type: ignore[no-untyped-def]
    client = EdgeClient(server.address, "digits", deadline_s=120)
    expected = whole(graph, images[4])
    for only, position in itertools.product(range(3), (0, 2)):
        executor = EarlyExitExecutor(
            graph, cut_at(graph, position), client, rules(graph, ALWAYS, ALWAYS), only=only
        )
        np.testing.assert_array_equal(executor.run([images[4]])[0], expected[only])
        assert executor.left_at == only
        assert executor.exchange is not None and executor.exchange.error is None
        assert executor.cut.tail.outputs == (exits_of(graph)[only].output,)
        executor.close_parts()
    client.close()


def test_a_request_may_name_the_outputs_that_it_wants(graph, images, server) -> None:  # type: ignore[no-untyped-def]
    cut = cut_between(graph, range(3))
    assert legal_cuts(graph)[-1] == len(graph.nodes)
    last = exits_of(graph)[2].output
    part = cut.wanting([last])
    assert len(part.tail.nodes) < len(cut.tail.nodes) and part.tail.outputs == (last,)
    assert cut.wanting(cut.tail.outputs) is cut
    client = EdgeClient(server.address, "digits", deadline_s=120)
    head = find_backend("host").build(compile_graph(cut.head)).run([images[5]])
    values = dict(zip(cut.head.outputs, head, strict=True))
    answer = client.infer(part, [values[t] for t in part.sent])
    np.testing.assert_array_equal(answer[0], whole(graph, images[5])[2])
    client.close()


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Far:
    """A server that takes `seconds`, or fails after them."""

    address, sent_bytes, compute_ms, coding_ms = "far", 7, 1.0, 0.0

    def __init__(self, graph: Graph, clock: Clock, seconds: float = 0.0, fails: bool = False):
        self.clock, self.seconds, self.fails, self.asked = clock, seconds, fails, 0
        self.executor = None
        self.graph = graph

    def infer(self, cut, values, left_s, coder):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.fails or (left_s is not None and self.seconds > left_s):
            self.clock.now += self.seconds if left_s is None else min(self.seconds, left_s)
            raise LinkError("nobody there")
        self.clock.now += self.seconds
        return find_backend("host").build(compile_graph(cut.tail)).run(values)


class Slow:
    """A part that takes `seconds` of the test's clock."""

    def __init__(self, inside, clock: Clock, seconds: float):  # type: ignore[no-untyped-def]
        self.inside, self.clock, self.seconds = inside, clock, seconds

    def run(self, inputs):  # type: ignore[no-untyped-def]
        self.clock.now += self.seconds
        return self.inside.run(inputs)


def timed(graph: Graph, position: int, far_s: float, stage_s: float, fails: bool = False):  # type: ignore[no-untyped-def]
    clock = Clock()
    far = Far(graph, clock, far_s, fails)
    executor = EarlyExitExecutor(
        graph, cut_at(graph, position), far, rules(graph, NEVER, NEVER), Decisions(clock),
        clock=clock,
    )  # type: ignore[arg-type]  # fmt: skip
    executor.slow_down(lambda part: Slow(part, clock, stage_s))
    return executor, far, clock


def test_the_deadline_decides_between_server_device_and_exit(graph, images) -> None:  # type: ignore[no-untyped-def]
    """Device stages take 1 s each; after exit 0 the far side takes 10."""
    executor, far, clock = timed(graph, 3, far_s=10.0, stage_s=1.0)
    expected = whole(graph, images[6])

    def left(deadline_s: float | None) -> int:
        clock.now += 100.0
        began = clock.now
        deadline_ms = None if deadline_s is None else deadline_s * 1e3
        answer = executor.run([images[6]], deadline_ms)
        np.testing.assert_array_equal(answer[0], expected[executor.left_at])
        assert deadline_s is None or clock.now - began <= deadline_s + 1e-9
        return executor.left_at

    assert left(None) == 2 and far.asked == 1  # learns that the far side takes 10 s
    assert left(20.0) == 2 and far.asked == 2
    assert left(9.0) == 2 and far.asked == 2, "goes on alone: two stages of 1 s"
    assert "far side would not make the deadline" in executor.remarks[0]
    assert left(2.0) == 1, "a second of time left after exit 0: exit 1"
    assert left(1.0) == 0
    assert [d.facts["exit"] for d in executor.log] == [2, 2, 2, 1, 0]
    assert executor.log.counts == {"exit": 5}


def test_a_server_that_fails_costs_no_answer_and_is_not_asked_at_once(graph, images) -> None:  # type: ignore[no-untyped-def]
    executor, far, clock = timed(graph, 0, far_s=0.2, stage_s=0.01, fails=True)
    expected = whole(graph, images[7])
    for _ in range(3):
        np.testing.assert_array_equal(executor.run([images[7]], 5e3)[0], expected[2])
    assert far.asked == 1
    assert "nobody there; the device went on alone" in next(iter(executor.log)).text
    far.fails = False
    clock.now += 10.0
    executor.run([images[7]], 5e3)
    assert far.asked == 2 and executor.exchange is not None and executor.exchange.error is None


def test_an_exchange_that_took_too_long_is_tried_again_later(graph, images) -> None:  # type: ignore[no-untyped-def]
    executor, far, _ = timed(graph, 3, far_s=10.0, stage_s=0.1)
    executor.run([images[0]])
    far.seconds = 0.1
    runs = 0
    while far.asked == 1:
        executor.run([images[0]], 5e3)
        runs += 1
        assert runs < 50
    assert executor.left_at == 2


def test_the_adaptive_executor_moves_a_model_with_exits(graph, images, server) -> None:  # type: ignore[no-untyped-def]
    even = Profile(graph.sha256, "", tuple(float(k) for k in range(len(graph.nodes) + 1)))
    problem = Problem(costs_of(graph, even.scaled(1000.0), even), Link.of(100.0, 1.0))
    log = Decisions()
    chosen = rules(graph, 0.99, 0.9)
    client = EdgeClient(server.address, "digits", deadline_s=120)
    executor = AdaptiveExecutor(
        graph, problem, client, None,
        lambda g, cut, link: EarlyExitExecutor(g, cut, link, chosen, log), log,
    )  # type: ignore[arg-type, return-value]  # fmt: skip
    for image in images[:20]:
        answer = executor.run([image])[0]
        left = [d.facts["exit"] for d in log if d.kind == "exit"][-1]
        np.testing.assert_array_equal(answer, whole(graph, image)[left])
    assert log.counts["exit"] == 20 and log.counts["cut"] >= 1
    executor.close()


# ---- planning ----


@pytest.fixture(scope="module")
def planned(graph: Graph, tmp_path_factory):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("exits")
    inputs, labels = load_labelled(graph, CALIBRATION)
    tuned = tune(graph, exit_answers(graph, inputs), labels)
    tuned.save(folder / "exits.json")
    times = tuple(float(k) for k in range(len(graph.nodes) + 1))
    Profile(graph.sha256, "even", times).save(folder / "even.json")
    return folder, tuned, inputs


def ask(folder: Path, *more: str) -> dict:  # type: ignore[type-arg]
    even = str(folder / "even.json")
    return parse_and_run(["split", "plan", str(MODEL), "--device-profile", even,
                          "--server-profile", even, "--exits", str(folder / "exits.json"),
                          "--device-slowdown", "10", *more])  # fmt: skip


def test_deadlines_choose_the_exit(planned) -> None:  # type: ignore[no-untyped-def]
    folder, tuned, _ = planned
    for name in ("edgent", "eddi"):
        found = [
            ask(folder, "--algorithm", name, "--mbit", "0.001", "--max-latency-ms", limit)
            for limit in ("60", "75", "115", "1000")
        ]
        assert [f["evidence"]["exit"] for f in found] == [0, 0, 1, 2]
        assert [f["evidence"]["missed"] for f in found] == [True, False, False, False]
        assert found[2]["predicted_ms"] == 110 and len(found[2]["cut"]) == 11
        assert found[3]["evidence"]["accuracy"] == tuned.accuracies[2]
    state = ask(folder, "--algorithm", "edgent-dynamic", "--max-latency-ms", "120", "--mbit", "80",
                "--states", "0.001", "100")  # fmt: skip
    assert state["cut"] == [] and state["evidence"]["exit"] == 0, "its reward is for speed"


def test_addas_expectation_is_what_the_executor_does(graph, planned) -> None:  # type: ignore[no-untyped-def]
    """All here: a node takes 10 ms, an answer pays every head that it asks."""
    folder, tuned, inputs = planned
    found = ask(folder, "--algorithm", "adda", "--mbit", "0.001")
    executor = EarlyExitExecutor(graph, cut_at(graph, len(graph.nodes)), None, tuned)
    left = []
    for image in inputs:
        executor.run([image])
        left.append(executor.left_at)
    shares = [left.count(i) / len(left) for i in range(3)]
    assert shares == pytest.approx(list(tuned.shares))
    nodes = [7, 7 + 8, 7 + 8 + 6]
    assert found["evidence"]["expected_ms"] == pytest.approx(
        sum(10 * n * s for n, s in zip(nodes, shares, strict=True))
    )


def test_spinn_keeps_its_accuracy_and_its_deadline(planned) -> None:  # type: ignore[no-untyped-def]
    folder, tuned, _ = planned
    found = ask(folder, "--algorithm", "spinn", "--mbit", "1", "--max-latency-ms", "150")
    assert found["evidence"]["latency_ms"] <= 150
    assert found["evidence"]["accuracy"] >= tuned.accuracy - 0.02
    assert json.dumps(found)


def test_planners_of_exits_say_what_they_need() -> None:
    with pytest.raises(TargetError, match="early exits and their thresholds"):
        parse_and_run(["split", "plan", str(OWN / "digits.tflite"), "--algorithm", "adda"])
