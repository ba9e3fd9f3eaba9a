"""Microcontrollers: a program printed as C99, compiled for a core, run on an emulated board."""
