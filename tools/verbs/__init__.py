"""The verbs of `midge`, one a file.

A verb module has `HELP` (one line), `add_arguments(parser)`, `run(args) -> dict` (the object that
`--json` prints) and `show(result, console)` (the same for people).
"""
