"""The hardware handoff file (.hwh) of a board design: what `pynq.Overlay` reads beside the .bit."""

from __future__ import annotations

from xml.etree import ElementTree

BASE = 0x4000_0000  # of the accelerator on the processor's bus, M_AXI_GP0
SIZE = 4 << 20  # of its address map
PROCESSOR, ACCELERATOR, VLNV = "processing_system7_0", "midge", "midge:midge:accelerator:1.0"


def handoff(clock_mhz: float = 125.0) -> str:
    """A Zynq-7020 with one accelerator, clocked by FCLK0 at `clock_mhz`."""
    root = ElementTree.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="2020.1")
    ElementTree.SubElement(
        root, "SYSTEMINFO", ARCH="zynq", DEVICE="7z020", NAME="midge", PACKAGE="clg400",
        SPEEDGRADE="-1",
    )  # fmt: skip
    ElementTree.SubElement(root, "EXTERNALPORTS")
    ElementTree.SubElement(root, "EXTERNALINTERFACES")
    modules = ElementTree.SubElement(root, "MODULES")
    _processor(modules, clock_mhz)
    _accelerator(modules, clock_mhz)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _module(modules: ElementTree.Element, name: str, vlnv: str) -> ElementTree.Element:
    _, _, kind, version = vlnv.split(":")
    return ElementTree.SubElement(
        modules, "MODULE", FULLNAME=f"/{name}", INSTANCE=name, IPTYPE="PERIPHERAL", IS_ENABLE="1",
        MODCLASS="PERIPHERAL", MODTYPE=kind, HWVERSION=version, VLNV=vlnv,
    )  # fmt: skip


def _processor(modules: ElementTree.Element, clock_mhz: float) -> None:
    module = _module(modules, PROCESSOR, "xilinx.com:ip:processing_system7:5.5")
    module.set("IS_PL", "FALSE")
    parameters = ElementTree.SubElement(module, "PARAMETERS")
    values = {f"PCW_FPGA_FCLK{n}_ENABLE": str(int(n == 0)) for n in range(4)}
    for number in range(4):
        values[f"PCW_FPGA{number}_PERIPHERAL_FREQMHZ"] = f"{clock_mhz}"
        values[f"PCW_ACT_FPGA{number}_PERIPHERAL_FREQMHZ"] = f"{clock_mhz:f}"
        values[f"PCW_FCLK{number}_PERIPHERAL_CLKSRC"] = "IO PLL"
        values[f"PCW_FCLK{number}_PERIPHERAL_DIVISOR0"] = "8"
        values[f"PCW_FCLK{number}_PERIPHERAL_DIVISOR1"] = "1"
    for name, value in values.items():
        ElementTree.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
    _clock(module, "O", "FCLK_CLK0", clock_mhz, ACCELERATOR, "clk")
    _buses(module, M_AXI_GP0="MASTER", S_AXI_HP0="SLAVE")
    memory = ElementTree.SubElement(module, "MEMORYMAP")
    ElementTree.SubElement(
        memory, "MEMRANGE", ADDRESSBLOCK="Reg", BASENAME="C_BASEADDR", BASEVALUE=f"0x{BASE:08X}",
        HIGHNAME="C_HIGHADDR", HIGHVALUE=f"0x{BASE + SIZE - 1:08X}", INSTANCE=ACCELERATOR,
        IS_DATA="TRUE", IS_INSTRUCTION="TRUE", MASTERBUSINTERFACE="M_AXI_GP0", MEMTYPE="REGISTER",
        SLAVEBUSINTERFACE="s_axi",
    )  # fmt: skip
    peripherals = ElementTree.SubElement(module, "PERIPHERALS")
    ElementTree.SubElement(peripherals, "PERIPHERAL", INSTANCE=ACCELERATOR)


def _accelerator(modules: ElementTree.Element, clock_mhz: float) -> None:
    module = _module(modules, ACCELERATOR, VLNV)
    blocks = ElementTree.SubElement(module, "ADDRESSBLOCKS")
    block = ElementTree.SubElement(
        blocks, "ADDRESSBLOCK", ACCESS="read-write", INTERFACE="s_axi", NAME="Reg",
        RANGE=str(SIZE), USAGE="register",
    )  # fmt: skip
    ElementTree.SubElement(block, "REGISTERS")
    ElementTree.SubElement(module, "PARAMETERS")
    _clock(module, "I", "clk", clock_mhz, PROCESSOR, "FCLK_CLK0")
    _buses(module, s_axi="SLAVE", m_axi="MASTER")


def _clock(
    module: ElementTree.Element, way: str, name: str, mhz: float, other: str, other_port: str
) -> None:
    """A module's only port that the handoff states, and the port at the other end of its wire."""
    ports = ElementTree.SubElement(module, "PORTS")
    port = ElementTree.SubElement(
        ports, "PORT", DIR=way, NAME=name, SIGIS="clk", SIGNAME="clock",
        CLKFREQUENCY=str(round(mhz * 1e6)),
    )  # fmt: skip
    connections = ElementTree.SubElement(port, "CONNECTIONS")
    ElementTree.SubElement(connections, "CONNECTION", INSTANCE=other, PORT=other_port)


def _buses(module: ElementTree.Element, **kinds: str) -> None:
    """The bus of the registers, then that of the memory."""
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    for (name, kind), wire in zip(kinds.items(), ("to_accelerator", "to_memory"), strict=True):
        _bus(buses, name, kind, wire)


def _bus(buses: ElementTree.Element, name: str, kind: str, wire: str) -> None:
    bus = ElementTree.SubElement(
        buses, "BUSINTERFACE", BUSNAME=wire, DATAWIDTH="32", NAME=name, TYPE=kind,
        VLNV="xilinx.com:interface:aximm:1.0",
    )  # fmt: skip
    ElementTree.SubElement(bus, "PARAMETER", NAME="PROTOCOL", VALUE="AXI4")
    ElementTree.SubElement(bus, "PORTMAPS")
