"""Lowerings to the host's vector kernels; the arithmetic is that of the plain kernels' references."""
