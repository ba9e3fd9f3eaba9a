"""The accelerator: its sizes and command words in plain Python, its blocks in Amaranth, its driver.

`machine`, `commands` and `driver` need NumPy alone, so that a board can use them; every other
module describes hardware and needs Amaranth.
"""
