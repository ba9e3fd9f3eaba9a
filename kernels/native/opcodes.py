"""The words of the dispatch loop: what `dispatch.py` writes and `loop.py` walks.

CALL kernel n, then the n parameter words of the kernel
LOOP count remaining steps, then for each step: word (position), start (value), by
NEXT loop (position of its LOOP)

Loops of the model, which ask while they run whether they go on (`runtime/while_loop.py`):
TURNS most left endless: the turns are counted from here on; `endless` becomes 1 if there are more
TURN turns (position of its TURNS) end (where to go on if there are no more)
COPY to origin size constant: bytes of the arena, from there or from the constants
MOVE arena constants: by so many bytes both begin later from here on
UNLESS answer target: go on at the target if that byte of the arena is 0
GOTO target
"""

CALL, LOOP, NEXT, TURNS, TURN, COPY, MOVE, UNLESS, GOTO = range(9)
CALL_HEADER, LOOP_HEADER, STEP_WORDS = 3, 4, 3
LEFT, OVER = 2, 3  # words of TURNS
TURNS_WORDS, TURN_WORDS, COPY_WORDS, MOVE_WORDS, UNLESS_WORDS = 4, 3, 5, 3, 3
