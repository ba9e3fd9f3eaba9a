"""Where else programs run: microcontrollers, FPGA boards, device and edge server."""
