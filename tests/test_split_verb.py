"""`midge split`: its JSON, its page, and what it says about bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="splitting needs gRPC (midge[split])")

from midge.runtime.errors import InputError, TargetError
from midge.runtime.importers import read_model
from midge.runtime.options import Options
from midge.runtime.pipeline import rewrite
from midge.targets.split.costs import Profile
from midge.targets.split.planners import ALGORITHMS
from midge.tools.cli import main, parse_and_run
from midge.tools.split_exits import EXIT_PLANNERS
from midge.tools.zoo import OWN

DIGITS = str(OWN / "digits.tflite")


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Even times of 1 ms a node, so that plans don't depend on the machine."""
    graph = rewrite(read_model(Path(DIGITS)), Options())
    times = tuple(float(k) for k in range(len(graph.nodes) + 1))
    path = tmp_path_factory.mktemp("profile") / "even.json"
    Profile(graph.sha256, "even", times).save(path)
    return path


def ask(profile: Path, *more: str) -> dict:  # type: ignore[type-arg]
    sides = ["--device-profile", str(profile), "--server-profile", str(profile)]
    return parse_and_run(["split", "plan", DIGITS, *sides, *more])


def test_profile_measures_and_keeps(tmp_path: Path) -> None:
    made = parse_and_run(["split", "profile", DIGITS, "-o", str(tmp_path / "p.json")])
    assert made["prefix_ms"] == json.loads((tmp_path / "p.json").read_text())["prefix_ms"]
    assert made["prefix_ms"] == sorted(made["prefix_ms"])
    assert ask(tmp_path / "p.json")["device_ms"] == pytest.approx(made["prefix_ms"][-1])


def test_plan_goes_where_the_time_is(profile: Path) -> None:
    slow = ["--device-slowdown", "100"]
    there = ask(profile, "--mbit", "100", *slow)
    assert there["cut"] == []
    assert there["server_ms"] == 14
    assert there["proved"]
    assert "dads" in there["as_good_as"]
    here = ask(profile, "--mbit", "0.001", *slow)
    assert here["cut"] == list(range(14))
    assert here["ranges"] == "0-13"
    assert here["bytes"] == 0
    assert here["predicted_ms"] == pytest.approx(1400)
    small = ask(profile, "--objective", "memory", "--mbit", "1")
    assert small["device_bytes"] == 0


def test_memory_of_a_head_is_its_constants_and_what_lives_at_once(profile: Path) -> None:
    bytes_here = [ask(profile, "--mbit", m, "--device-slowdown", "100")["device_bytes"]
                  for m in ("0.001", "100")]  # fmt: skip
    assert bytes_here[0] > 10_000
    assert bytes_here[1] == 0


INPUTS = {
    "adaf": ["--edge-speed", "5", "--cloud-mbit", "2"],
    "auto-split": ["--error-limit", "0.5"],
    "mdpo": ["--window-ms", "20"],
    "pico": ["--workers", "1", "2"],
}


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - set(EXIT_PLANNERS)))
def test_every_algorithm_of_single_models_answers(profile: Path, name: str) -> None:
    found = ask(profile, "--algorithm", name, "--device-slowdown", "30", *INPUTS.get(name, []))
    assert found["algorithm"] == name or (name, found["algorithm"]) == ("dads-light", "dads")
    assert json.dumps(found)


def test_what_single_planners_were_given_is_in_their_answers(profile: Path) -> None:
    def asked(name: str, *options: str) -> dict[str, Any]:
        return ask(profile, "--algorithm", name, "--device-slowdown", "300", *options)

    told = asked("auto-split", "--error-limit", "0.5")["evidence"]
    assert 0 < told["error"] <= 0.5 or not told["bits"]
    assert asked("auto-split", "--error-limit", "0")["evidence"]["error"] == 0
    assert asked("pico", "--workers", "1", "2")["evidence"]["stages"]
    near = asked("adaf", "--edge-speed", "100", "--mbit", "100", "--cloud-mbit", "0.01")
    assert near["evidence"]["edge_until"] == near["nodes"], "the cloud is too far"
    assert asked("mdpo", "--window-ms", "0.001")["cut"] == list(range(near["nodes"]))


def test_the_page_needs_no_other_file(profile: Path, tmp_path: Path) -> None:
    page = tmp_path / "split.html"
    ask(profile, "--html", str(page), "--device-slowdown", "30")
    text = page.read_text()
    assert "server only" in text
    assert "cut 14" in text
    assert "http" not in text


def test_bench_measures_what_it_predicts(profile: Path, tmp_path: Path) -> None:
    """Only lower bounds: a busy machine makes everything slower and nothing faster."""
    trace = tmp_path / "trace.json"
    sides = ["--device-profile", str(profile), "--server-profile", str(profile)]
    rates = ["--mbit", "0.1", "20", "--runs", "3"]
    more = ["--device-slowdown", "300", "--trace", str(trace)]
    result = parse_and_run(["split", "bench", DIGITS, *sides, *rates, *more])
    slow, fast = result["rows"]
    for row in result["rows"]:
        ends = row["device_only_predicted_ms"], row["server_only_predicted_ms"]
        assert 0 < row["predicted_ms"] <= min(ends)
    assert fast["device_only_ms"] > 0
    assert slow["server_only_ms"] > 60  # 784 bytes and a header at 12.5 bytes a millisecond
    assert slow["measured_ms"] > 0
    assert_spans_fit(json.loads(trace.read_text()))


def assert_spans_fit(trace: dict) -> None:  # type: ignore[type-arg]
    """Chrome's format; one trace id; the server's spans between the wire's, in the wait."""
    events = trace["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert sorted(names.values()) == ["device", "server", "wire"]
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) + 3 == len(events)
    assert all(e["dur"] >= 0 and e["ts"] >= 0 and e["tid"] == 1 for e in spans)
    assert len({e["args"]["trace_id"] for e in spans}) == 1
    requests = [i for i, e in enumerate(spans) if e["name"] == "wait for the server"]
    assert len(requests) >= 2
    for i in requests:
        wait, *far = spans[i : i + 7]
        assert [e["name"] for e in far] == [
            *("request", "decode", "wait for its turn", "compute", "encode", "answer")
        ]
        assert [names[e["pid"]] for e in far] == ["wire", *["server"] * 4, "wire"]
        ends = [wait["ts"], *(e["ts"] + e["dur"] for e in far)]
        starts = [*(e["ts"] for e in far), wait["ts"] + wait["dur"]]
        assert ends == pytest.approx(starts, abs=1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--algorithm", "magic"], "there is no algorithm 'magic'"),
        (["--algorithm", "edgent"], "edgent needs a model with early exits"),
        (["--mbit", "0"], "rates must be above 0"),
        (["--device-slowdown", "-1"], "factors above 0"),
        (["--max-device-bytes", "1", "--max-sent-bytes", "1"], "no cut is within the limits"),
    ],
)
def test_bad_questions_get_one_sentence(profile: Path, arguments: list[str], said: str) -> None:
    with pytest.raises((TargetError, InputError), match=said):
        ask(profile, *arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a profile of"),
        ('{"sha256": "", "target": "", "prefix_ms": [0, 1]}', "a profile of model"),
        ("[]", "not a profile of"),
    ],
)
def test_bad_profiles_get_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        ask(path)


def test_help_names_the_algorithms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["split", "plan", "--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in ALGORITHMS)


def test_json_is_one_object(profile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = ["--device-profile", str(profile), "--server-profile", str(profile)]
    assert main(["split", "plan", DIGITS, *sides, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == 14
