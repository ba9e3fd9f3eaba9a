"""Backend 1: the arithmetic of every operator, in NumPy (the reference) and in Numba (the host)."""
