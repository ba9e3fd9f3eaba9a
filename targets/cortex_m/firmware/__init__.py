"""What runs a model on a board: startup, counters, linker scripts; shipped as data."""
