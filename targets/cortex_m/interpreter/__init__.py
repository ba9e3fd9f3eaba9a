"""Runs a saved program from flash or RAM, so that a model is replaced without new firmware."""
