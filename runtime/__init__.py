"""The road from a model file to a program: plain Python and NumPy, no target, no kernel."""
