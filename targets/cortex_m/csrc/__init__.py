"""The kernels in C, shipped as data."""
