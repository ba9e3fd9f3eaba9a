"""Where programs run besides this machine: microcontrollers, FPGA boards, device and edge server."""
