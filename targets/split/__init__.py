"""A model cut between a device and an edge server."""
