/* Walks over some axes of a tensor, for each place of the others. */
#ifndef MIDGE_REDUCING_H
#define MIDGE_REDUCING_H

#include "midge_memory.h"

/* `axes` has sizes, then strides, of three groups of kept axes, then the same of reduced ones. */
enum { MIDGE_GROUPS = 3 };

/* The first input element of output `index`. */
MIDGE_INLINE int32_t midge_first_element(const midge_int32 *axes, int32_t index)
{
    int32_t start = 0;
    for (int32_t axis = MIDGE_GROUPS - 1; axis >= 0; axis--) {
        start += index % axes[axis] * axes[MIDGE_GROUPS + axis];
        index /= axes[axis];
    }
    return start;
}

#endif
