"""Lowerings to the host's vector kernels, whose references are those of the plain ones."""
