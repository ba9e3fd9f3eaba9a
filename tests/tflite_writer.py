"""The writer of .tflite files under the name by which tests know it."""

from midge.tools.tflite_writer import ModelBuilder

__all__ = ["ModelBuilder"]
