"""The Numba twins of the reference kernels: one native signature, one native dispatch loop."""
