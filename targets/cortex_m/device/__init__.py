"""Firmware for a board on a cable: serial ports, clocks, and the MLPerf Tiny protocol."""
