/* Which taps of a sliding window lie inside a row of an image. */
#ifndef MIDGE_WINDOW_H
#define MIDGE_WINDOW_H

#include "midge_memory.h"

typedef struct {
    int32_t left;  /* column of tap 0; may be outside the image */
    int32_t begin; /* first tap inside */
    int32_t end;   /* last tap inside + 1; not more than `begin` if there is none */
} midge_taps;

MIDGE_INLINE midge_taps midge_taps_at(
    int32_t left, int32_t taps, int32_t dilation, int32_t in_width)
{
    midge_taps t = {left, 0, taps};
    if (left < 0)
        t.begin = (-left + dilation - 1) / dilation;
    if (left + (taps - 1) * dilation >= in_width)
        t.end = left >= in_width ? 0 : (in_width - 1 - left) / dilation + 1;
    return t;
}

#endif
