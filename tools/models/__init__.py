"""The committed models, shipped as data."""
