/* Two products by one multiplication, for cores without vectors that have many registers.
 *
 * A word holds an input of two pixels: x0 + x1 * 2**16. Its product with a weight holds both
 * products, and so do sums of them, for as long as each stays within 16 bits: from the weights it is
 * known when a sum must be taken apart (targets/cortex_m/packed.py).
 */
#ifndef MIDGE_PACKED_H
#define MIDGE_PACKED_H

#include "midge_fixedpoint.h"

enum { MIDGE_PACKED_PIXELS = 4 };

/* What all filters of a block of pixels need. Weights are blocks of two filters: two biases and
 * multipliers, int32; two exponents of right shifts, a byte each; in 16 bits, how often sums are
 * taken apart. Then come groups of at most 64 inputs: a word that says so, a bit for each two
 * inputs, the first highest; and two weights for each input. */
typedef struct {
    const midge_int32 *x; /* [4 * quads][2 pairs of pixels] */
    const int8_t *weights;
    int32_t quads; /* of inputs */
    int32_t filters;
    midge_output output;
} midge_packed_job;

/* All filters of `pixels` pixels, at most four. */
void midge_packed_product(int8_t *const *y, int32_t pixels, const midge_packed_job *job);

#endif
