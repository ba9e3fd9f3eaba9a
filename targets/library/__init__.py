"""A model as a shared library for a computer: no interpreter, no compiler, no midge at run time."""
