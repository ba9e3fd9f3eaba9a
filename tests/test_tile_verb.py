"""`midge split tiles`, `split plan` for several devices, and tile workers as Ray actors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.backend import find_backend
from midge.runtime.errors import InputError
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import compile_graph, rewrite
from midge.targets.split.costs import Profile
from midge.targets.split.planners.problem import Link
from midge.targets.split.planners.tile_planners import TILE_ALGORITHMS, plan_tiles
from midge.targets.split.tiles.executor import TileExecutor, WorkerError
from midge.targets.split.tiles.plan import Device, TileProblem
from midge.targets.split.tiles.task import Task
from midge.tools.cli import main, parse_and_run
from midge.tools.split_tiles import Learner
from midge.tools.zoo import OWN

DIGITS = OWN / "digits.tflite"


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """10 ms a node, so that plans don't depend on the machine and sharing pays."""
    graph = rewrite(read_model(DIGITS), Options())
    path = tmp_path_factory.mktemp("profile") / "even.json"
    Profile(graph.sha256, "even", tuple(10.0 * k for k in range(len(graph.nodes) + 1))).save(path)
    return str(path)


@pytest.mark.parametrize("name", sorted(TILE_ALGORITHMS))
def test_plan_says_who_makes_what(profile: str, name: str) -> None:
    sides = ["--device-profile", profile, "--server-profile", profile]
    found = parse_and_run(
        ["split", "plan", str(DIGITS), *sides, "--algorithm", name, "--mbit", "100"]
    )
    assert found["algorithm"] == name
    assert found["identical"] == (name != "adcnn")
    assert {tile["device"] for step in found["steps"] for tile in step["tiles"]} == {0, 1, 2}
    assert found["predicted_ms"] < 140  # of one device alone
    assert found["bytes"] > 0


def test_tiles_run_on_server_processes(profile: str) -> None:
    found = parse_and_run(
        ["split", "tiles", str(DIGITS), "--device-profile", profile, "--algorithm", "aofl",
         "--workers", "1", "2", "--runs", "1"]
    )  # fmt: skip
    assert found["equal"]
    assert found["differing"] == found["largest_difference"] == 0
    assert found["sent_bytes"] == found["bytes"] > 0
    assert set(found["tiles"]) == {"0", "1", "2"}


def test_plans_follow_what_the_devices_did(profile: str) -> None:
    found = parse_and_run(
        ["split", "tiles", str(DIGITS), "--device-profile", profile, "--algorithm", "deepslicing",
         "--workers", "1", "--runs", "2", "--learn"]
    )  # fmt: skip
    assert found["equal"]
    assert all(rows > 0 for rows in found["speeds"].values())

    graph = rewrite(read_model(DIGITS), Options())
    problem = TileProblem(graph, (10.0,) * len(graph.nodes), (Device(1.0, Link(1e6, 1e6)),) * 2)

    def shares(algorithm: str, spent: dict[int, tuple[int, float]]) -> list[int]:
        learner = Learner(algorithm, problem)
        for _ in range(6):
            _, plan = learner.plan(spent, {0: 2, 1: 2})
        tiles = plan.steps[0].tiles
        rows = [(t.device, b - a) for t in tiles for (a, b), _ in [t.boxes[-1][1]]]
        return [sum(n for device, n in rows if device == d) for d in (0, 1)]

    here, there = shares("deepslicing", {0: (14, 1.0), 1: (14, 1.0)})
    assert here == there
    here, there = shares("deepslicing", {0: (21, 1.0), 1: (7, 1.0)})
    assert here > 2 * there
    slow, fast = shares("adcnn", {0: (14, 9.0), 1: (14, 1.0)})
    assert slow < fast


def test_bad_speeds_are_one_sentence(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="speeds above 0"):
        parse_and_run(["split", "tiles", str(DIGITS), "--workers", "0", "--json"])
    asked = ["split", "tiles", str(DIGITS), "--device-profile", profile, "--algorithm", "coedge"]
    assert main([*asked, "--deadline-ms", "0.001"]) == 1
    assert "raise the deadline" in capsys.readouterr().err


def test_ray_actors_give_the_models_bits_and_may_die() -> None:
    pytest.importorskip("ray", reason="tile workers as Ray actors need Ray (midge[ray])")
    from midge.targets.split.ray_tiles import RayWorker, shut_down

    graph = rewrite(read_model(DIGITS), Options())
    inputs = [np.load(OWN / "digits_inputs.npy")[6:7]]
    expected = find_backend("host").build(compile_graph(graph)).run(inputs)[0]
    link = Link.of(100.0, 0.1)
    problem = TileProblem(graph, (10.0,) * len(graph.nodes), (Device(1.0, link),) * 3)
    workers = {number: RayWorker(Path(DIGITS), patience_s=120.0) for number in (1, 2)}
    try:
        for name in ("modnn", "aofl", "deepthings"):
            executor = TileExecutor(problem, plan_tiles(name, problem), workers)
            np.testing.assert_array_equal(executor.run(inputs)[0], expected)
            assert "without" not in executor.remarks[0]
        with pytest.raises(WorkerError, match="a Ray actor refused"):
            workers[1].run("frame", Task(((99, ((0, 1), (0, 1))),)), [], [])
        workers[1]._ray.kill(workers[1].actor)
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        executor = TileExecutor(problem, plan_tiles("aofl", problem), workers)
        np.testing.assert_array_equal(executor.run(inputs)[0], expected)
        assert "without worker 1" in executor.remarks[0]
    finally:
        shut_down()
