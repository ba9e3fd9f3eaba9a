"""The words of the dispatch loop: what `dispatch.py` writes and `loop.py` walks.

CALL kernel n, then the n parameter words of the kernel
LOOP count remaining steps, then for each step: word (position), start (value), by
NEXT loop (position of its LOOP)
"""

CALL, LOOP, NEXT = 0, 1, 2
CALL_HEADER, LOOP_HEADER, STEP_WORDS = 3, 4, 3
