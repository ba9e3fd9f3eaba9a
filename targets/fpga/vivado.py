"""A Vivado project that makes `midge.bit` and `midge.hwh` for a PYNQ-Z2, in one batch command.

Written against the commands that Xilinx UG835 documents, and checked by interpreting it with stubs
and by its names; Vivado itself was not there to run it.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...hw.machine import Machine
from .hwh import ACCELERATOR, BASE, PROCESSOR, SIZE, VLNV
from .synthesis import TOP, build_verilog

PART = "xc7z020clg400-1"
CLOCK_MHZ = 125
SCRIPT, WRAPPER = "build.tcl", "midge_accelerator"
COMMAND = ("vivado", "-mode", "batch", "-source", SCRIPT)

_CONSTRAINTS = """\
# The processing system brings the clock of the logic, and its constraint, with it; no pin of the
# logic leaves the chip.
set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
"""

_SCRIPT = """\
# Makes midge.bit and midge.hwh for a PYNQ-Z2: {command}
# PYNQ's own boot loader has set up memory and pins before an overlay is loaded, so the processing
# system is configured here only as far as the logic sees it.
set folder [file dirname [file normalize [info script]]]
set work [file join $folder vivado]
set part {part}

# The accelerator as an IP, so that the driver finds it by its name.
create_project -force -part $part accelerator [file join $work ip_project]
add_files [list [file join $folder {top}.v] [file join $folder {wrapper}.v]]
set_property top {wrapper} [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir [file join $work ip] -vendor {vendor} -library {library} \\
    -taxonomy /UserIP -import_files -set_current true
set core [ipx::current_core]
set_property name {name} $core
set_property version {version} $core
set_property display_name "midge accelerator" $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::save_core $core
close_project

create_project -force -part $part midge [file join $work project]
set_property ip_repo_paths [file join $work ip] [current_project]
update_ip_catalog
add_files -fileset constrs_1 [file join $folder midge.xdc]

create_bd_design midge
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 {processor}]
set pins {{make_external "FIXED_IO, DDR" apply_board_preset "0" Master "Disable" Slave "Disable"}}
apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config $pins $ps
set_property -dict [list \\
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ {{{mhz}}} \\
    CONFIG.PCW_USE_M_AXI_GP0 {{1}} \\
    CONFIG.PCW_USE_S_AXI_HP0 {{1}} \\
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {{32}} \\
    CONFIG.PCW_USE_FABRIC_INTERRUPT {{1}} \\
    CONFIG.PCW_IRQ_F2P_INTR {{1}} \\
] $ps
set engine [create_bd_cell -type ip -vlnv {vlnv} {accelerator}]
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
foreach {{name}} {{to_registers to_memory}} {{
    set $name [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_interconnect $name]
    set_property -dict [list CONFIG.NUM_SI {{1}} CONFIG.NUM_MI {{1}}] [set $name]
}}

proc wire {{from to}} {{
    connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
}}
proc bus {{from to}} {{
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}}
set clock {processor}/FCLK_CLK0
wire $clock reset/slowest_sync_clk
wire {processor}/FCLK_RESET0_N reset/ext_reset_in
foreach {{pin}} {{{accelerator}/aclk {processor}/M_AXI_GP0_ACLK {processor}/S_AXI_HP0_ACLK
    to_registers/ACLK to_registers/S00_ACLK to_registers/M00_ACLK
    to_memory/ACLK to_memory/S00_ACLK to_memory/M00_ACLK}} {{
    wire $clock $pin
}}
foreach {{pin}} {{{accelerator}/aresetn to_registers/S00_ARESETN to_registers/M00_ARESETN
    to_memory/S00_ARESETN to_memory/M00_ARESETN}} {{
    wire reset/peripheral_aresetn $pin
}}
foreach {{pin}} {{to_registers/ARESETN to_memory/ARESETN}} {{
    wire reset/interconnect_aresetn $pin
}}
bus {processor}/M_AXI_GP0 to_registers/S00_AXI
bus to_registers/M00_AXI {accelerator}/s_axi
bus {accelerator}/m_axi to_memory/S00_AXI
bus to_memory/M00_AXI {processor}/S_AXI_HP0
wire {accelerator}/irq {processor}/IRQ_F2P
assign_bd_address
set registers [get_bd_addr_segs {processor}/Data/SEG_{accelerator}_*]
set_property offset {base:#010x} $registers
set_property range {kilobytes}K $registers
validate_bd_design
save_bd_design

set design [get_files midge.bd]
generate_target all $design
add_files -norecurse [make_wrapper -files $design -top]
set_property top midge_wrapper [current_fileset]
update_compile_order -fileset sources_1
launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {{[get_property PROGRESS [get_runs impl_1]] ne "100%"}} {{
    error "midge: the build failed; its messages are in $work/project"
}}
if {{[get_property STATS.WNS [get_runs impl_1]] < 0}} {{
    error "midge: the logic does not run at {mhz} MHz: its worst slack is negative"
}}
file copy -force [file join [get_property DIRECTORY [get_runs impl_1]] midge_wrapper.bit] \\
    [file join $folder midge.bit]
# Releases of Vivado differ in the folder above sources_1.
set handoff */sources_1/bd/midge/hw_handoff/midge.hwh
file copy -force [lindex [glob -directory [file join $work project] $handoff] 0] \\
    [file join $folder midge.hwh]
"""


_INTERRUPT = """\
  (* X_INTERFACE_INFO = "xilinx.com:signal:interrupt:1.0 irq INTERRUPT" *)
  (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)
"""
_CLOCKS = """\
  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi:m_axi, ASSOCIATED_RESET aresetn" *)
  input wire aclk,
  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
  input wire aresetn"""


def write_project(machine: Machine, folder: Path) -> list[Path]:
    """Write the sources, the constraints and the script into a folder; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    verilog = build_verilog(machine)
    files = {
        f"{TOP}.v": verilog,
        f"{WRAPPER}.v": wrapper(verilog),
        "midge.xdc": _CONSTRAINTS,
        SCRIPT: script(),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def script() -> str:
    """The Tcl: the design has the names and the addresses that `hwh` states."""
    vendor, library, name, version = VLNV.split(":")
    return _SCRIPT.format(
        command=" ".join(COMMAND), part=PART, top=TOP, wrapper=WRAPPER, vendor=vendor,
        library=library, name=name, version=version, vlnv=VLNV, processor=PROCESSOR,
        accelerator=ACCELERATOR, base=BASE, kilobytes=SIZE >> 10, mhz=CLOCK_MHZ,
    )  # fmt: skip


def wrapper(verilog: str) -> str:
    """Verilog with the ports' names as Vivado's packager knows buses by, round module `midge`."""
    body = re.search(rf"^module {TOP}\(.*?^endmodule", verilog, re.M | re.S)
    assert body is not None
    ports, wires = [], []
    for way, width, name in re.findall(r"^ +(input|output) (\[\d+:0\] )?(\w+);", body[0], re.M):
        plain = name.replace("__", "_")
        if name not in ("clk", "rst"):
            mark = _INTERRUPT if name == "irq" else ""
            ports.append(f"{mark}  {way} wire {width}{plain}")
            wires.append(f"    .{name}({plain})")
    return (
        f"module {WRAPPER}(\n{_CLOCKS},\n" + ",\n".join(ports) + "\n);\n"
        f"  {TOP} accelerator(\n    .clk(aclk),\n    .rst(~aresetn),\n"
        + ",\n".join(wires)
        + "\n  );\nendmodule\n"
    )
