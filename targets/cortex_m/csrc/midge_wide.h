/* Products of widened inputs with weights of 16 bits: twice the flash, and nothing to unpack.
 *
 * Words of inputs as in midge_paired.h. A word of weights holds twice the weights of one filter for
 * the same two inputs (targets/cortex_m/wide.py), so that sums come doubled.
 */
#ifndef MIDGE_WIDE_H
#define MIDGE_WIDE_H

#include "midge_memory.h"

#define MIDGE_WIDE_PIXELS 3 /* of a block, at most */
#define MIDGE_WIDE_UNIT 4   /* words that are taken at once */

/* What a block of pixels needs. The assembly knows the order of these members. */
typedef struct {
    const midge_int32 *x;
    const midge_int32 *x_end;
    int32_t units;          /* of weights: words / MIDGE_WIDE_UNIT, at least 1 */
    const midge_int32 *end; /* of all filters' weights */
    int8_t *y[MIDGE_WIDE_PIXELS];
    const midge_int32 *w;
} midge_wide_job;

/* All filters, two at a time, of one to three pixels; outputs are clamped to int8. With `relu`,
 * outputs under the zero point may be other numbers under it. */
void midge_wide_product(const midge_wide_job *job, int32_t pixels, int32_t relu);

/* What one input vector needs. The assembly knows the order of these members. */
typedef struct {
    const void *x; /* words, or bytes if there are `bytes` */
    const void *x_end;
    const midge_int32 *end;
    int8_t *y;
    const midge_int32 *w;
    int32_t bytes;
} midge_wide_vector_job;

/* All units of a fully connected layer, four at a time. */
void midge_wide_vector_product(const midge_wide_vector_job *job);

#endif
