"""Layers split over several devices: boxes of tensors, who makes which, and running it."""
