"""The command line and the project's scripts."""
