"""Hardware and boards under simulation: compiled RTL, and the accelerator's driver over it."""
