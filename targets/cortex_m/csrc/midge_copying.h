/* Moving bytes inside the arena. */
#ifndef MIDGE_COPYING_H
#define MIDGE_COPYING_H

#include "midge_memory.h"

/* `count` bytes from x to y, which may overlap in any way. */
void midge_move(int8_t *y, const int8_t *x, int32_t count);

/* `count` elements of `size` bytes (1, 2, 4, 8), `step` bytes apart in x, close in y, in order. */
void midge_copy_run(int8_t *y, const int8_t *x, int32_t count, int32_t step, int32_t size);

/* `count` bytes of y from the 8 bytes of `pattern`, over and over. */
void midge_fill(int8_t *y, const int8_t *pattern, int32_t count);

#endif
