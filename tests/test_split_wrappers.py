"""Cascades, filters and reuse: the bits of no wrapper at one end, no work at the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import Executor, find_backend
from midge.runtime.graph import Graph
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.split.decisions import Decisions
from midge.targets.split.exits import exits_of, part_of
from midge.targets.split.wrappers import Cascade, FilterHead, FrameFilter, Reuse
from midge.tools.cli import parse_and_run
from midge.tools.split_exits import load_labelled
from midge.tools.zoo import OWN


class Counted:
    """An executor that counts its runs."""

    def __init__(self, inside: Executor) -> None:
        self.inside, self.runs, self.measurement = inside, 0, inside.measurement

    def run(self, inputs):  # type: ignore[no-untyped-def]
        self.runs += 1
        return self.inside.run(inputs)

    def close(self) -> None:
        self.inside.close()


@pytest.fixture(scope="module")
def graph() -> Graph:
    return compile_graph(rewrite(read_model(OWN / "digits.tflite"), Options())).graph


@pytest.fixture(scope="module")
def held_out(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    return load_labelled(graph, OWN / "digits_heldout.npz")


def big(graph: Graph) -> Counted:
    return Counted(find_backend("host").build(compile_graph(graph)))


def little() -> tuple[Executor, Graph]:
    """The model with exits as far as its first one."""
    whole = rewrite(read_model(OWN / "digits_exits.tflite"), Options())
    first = exits_of(whole)[0]
    part = part_of(whole, first.nodes)
    part = part.with_nodes(part.nodes, outputs=(first.output,))
    return find_backend("host").build(compile_graph(part)), part


def run_all(executor, images: np.ndarray) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    return [executor.run([image])[0] for image in images]


def test_a_cascade_asks_the_big_model_when_the_little_one_is_not_sure(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    images, labels = held_out[0][:300], held_out[1][:300]
    plain = run_all(big(graph), images)
    accuracies = {}
    for threshold in (2.0, 0.9, 0.0):
        ready, part = little()
        whole, log = big(graph), Decisions()
        answers = run_all(Cascade(ready, part, whole, threshold, log), images)
        counts = log.counts
        assert counts.get("little", 0) + counts.get("big", 0) == 300
        assert counts.get("big", 0) == whole.runs
        accuracies[threshold] = np.mean([a.argmax() for a in answers] == labels)
        if threshold == 2.0:
            np.testing.assert_array_equal(answers, plain)
        if threshold == 0.0:
            assert whole.runs == 0
        if threshold == 0.9:
            assert 0 < whole.runs < 150
    assert accuracies[0.0] < accuracies[0.9] <= accuracies[2.0] + 0.01


def test_frames_that_hardly_change_are_not_run(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    image = held_out[0][0]
    moved = image.copy()
    moved.reshape(-1)[:100] ^= 0x40  # 100 of 784 elements change much
    frames = [image, image, moved, moved, image]
    for share, runs in ((-1.0, 5), (0.0, 3), (0.1, 3), (0.2, 1), (1.0, 1)):
        whole, log = big(graph), Decisions()
        answers = run_all(FrameFilter(whole, share, log), np.array(frames))
        assert whole.runs == runs, share
        assert log.counts.get("skipped", 0) == 5 - runs
        if share <= 0.1:
            np.testing.assert_array_equal(answers, run_all(whole, np.array(frames)))


def test_a_small_head_filters_frames_and_smooths(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    """Only what the head takes for a 3 is worth the rest."""
    images, labels = held_out[0][:200], held_out[1][:200]
    idle = [np.full((1, 10), -128, np.int8)]

    def filtered(threshold: float, least: int = 1, window: int = 1) -> tuple[int, Decisions]:
        ready, part = little()
        whole, log = big(graph), Decisions()
        head = FilterHead(ready, part, whole, idle, log, 3, threshold, least, window)
        for image in images:
            before = whole.runs
            answer = head.run([image])[0]
            assert (whole.runs == before) == np.array_equal(answer, idle[0])
        return whole.runs, log

    assert filtered(0.0)[0] == 200
    assert filtered(1.1)[0] == 0
    runs, log = filtered(0.3)
    threes = int((labels == 3).sum())
    assert threes * 0.8 <= runs <= threes * 1.8
    assert log.counts["filtered"] == 200 - runs
    assert filtered(0.3, least=1, window=3)[0] > runs
    assert filtered(0.3, least=2, window=3)[0] < runs


def test_reuse_takes_equal_inputs_only_at_distance_zero(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    frames = np.array([held_out[0][i] for i in (0, 1, 0, 1, 2, 0)])
    whole, log = big(graph), Decisions()
    answers = run_all(Reuse(whole, 0.0, log), frames)
    np.testing.assert_array_equal(answers, run_all(big(graph), frames))
    assert whole.runs == 3 and log.counts == {"ran": 3, "reused": 3}
    never = big(graph)
    run_all(Reuse(never, -1.0, Decisions()), frames)
    assert never.runs == 6


def test_reuse_tightens_on_a_wrong_neighbour_and_loosens_on_a_right_one(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    images, labels = held_out
    one, other = (images[np.flatnonzero(labels == d)[0]] for d in (0, 1))
    far = float(np.sqrt(((one.astype(float) - other.astype(float)) ** 2).mean()))
    reuse = Reuse(big(graph), far + 1, Decisions(), doubt=1.0)  # doubts every hit that isn't exact
    reuse.run([one])
    reuse.run([other])
    assert reuse.distance == pytest.approx((far + 1) / 4)
    near = one.copy()
    near.reshape(-1)[:50] += 3
    close = float(np.sqrt(((one.astype(float) - near.astype(float)) ** 2).mean()))
    reuse.distance = close / 2
    reuse.run([near])
    assert reuse.distance == pytest.approx(1.1 * close / 2)


def test_reuse_by_vote_needs_neighbours_that_agree(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    images, labels = held_out
    zeros = images[np.flatnonzero(labels == 0)[:4]]
    whole, log = big(graph), Decisions()
    reuse = Reuse(whole, 1e9, log, neighbours=3, agreement=1.0, doubt=0.0)
    for image in zeros[:3]:
        reuse.run([image])
    assert whole.runs == 3
    assert reuse.run([zeros[3]])[0].argmax() == 0
    assert whole.runs == 3, "three zeros agree"
    one = images[np.flatnonzero(labels == 1)[0]]
    reuse._entries[0].answer = [big(graph).run([one])[0]]  # now one of the three says otherwise
    reuse.run([zeros[3]])
    assert whole.runs == 4


def test_reuse_keeps_what_saves_most_for_its_bytes_and_forgets_with_time(graph, held_out) -> None:  # type: ignore[no-untyped-def]
    now = [0.0]
    reuse = Reuse(big(graph), 0.0, Decisions(), entries=3, life_s=10.0, clock=lambda: now[0])
    for image in held_out[0][:6]:
        now[0] += 1
        reuse.run([image])
    assert len(reuse._entries) == 3
    now[0] += 30
    reuse.run([held_out[0][7]])
    assert len(reuse._entries) == 1


def test_the_verb_wraps_and_logs(tmp_path: Path, held_out) -> None:  # type: ignore[no-untyped-def]
    frames = held_out[0][[0, 0, 1, 1, 1]]
    np.save(tmp_path / "frames.npy", frames)
    asked = ["split", "run", str(OWN / "digits.tflite"), "--samples", str(tmp_path / "frames.npy")]
    plain = parse_and_run(asked)
    wrapped = parse_and_run([*asked, "--skip", "0", "--log", str(tmp_path / "log")])
    assert wrapped["output_sha256"] == plain["output_sha256"]
    assert wrapped["requests"] == plain["requests"] == 5
    assert wrapped["decisions"] == {"ran": 2, "skipped": 3}
    assert wrapped["bytes"] * 5 == plain["bytes"] * 2
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["ran", "skipped", "ran", "skipped", "skipped"]
    adaptive = parse_and_run([*asked, "--adapt", "--deadline", "60", "--reuse", "0"])
    assert adaptive["output_sha256"] == plain["output_sha256"]
    assert adaptive["decisions"]["reused"] == 3
    assert adaptive["log"][0]["text"].startswith("starts with")
