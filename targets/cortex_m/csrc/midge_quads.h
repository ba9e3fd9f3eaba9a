/* Depthwise sums of four neighbouring channels at a time.
 *
 * Weights are blocks of four channels (targets/cortex_m/quads.py): biases; for each pair of taps
 * two words, of channels 0 and 1 and of channels 2 and 3, the first tap's two bytes first; for an
 * odd tap one word; multipliers doubled, modulo 2**32; shifts less one, a byte each.
 */
#ifndef MIDGE_QUADS_H
#define MIDGE_QUADS_H

#include "midge_memory.h"

/* One output pixel. The assembly knows the order of these members. */
typedef struct {
    const midge_int32 *taps;     /* bytes from x to channel 0 under each tap */
    const midge_int32 *taps_end; /* of whole pairs */
    int32_t pairs;               /* at least 1 */
    int32_t odd;                 /* 1 if there is one more tap */
    int32_t zero;                /* 2 * output zero point + 1 */
    const midge_int32 *end;      /* of all channels' weights */
    int8_t *y;
    const int8_t *x;
    const midge_int32 *w;
} midge_quads_job;

/* All channels; outputs are clamped to int8. */
typedef void midge_quads_function(const midge_quads_job *job);
midge_quads_function midge_quads_product;

/* Nine taps, where outputs under the zero point may be other numbers under it. */
midge_quads_function midge_quads_nine_relu;

#endif
