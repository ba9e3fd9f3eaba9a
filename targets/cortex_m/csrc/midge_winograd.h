/* Winograd's F(4, 3) along x in whole numbers: four outputs of a row by six products, not twelve.
 *
 * With the matrices of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016),
 * where filters are multiplied by 24 and each row of them is divided by what it has in common. Sums
 * count modulo 2**32; dividing them by 3 is multiplying by its inverse, since all are multiples
 * (targets/cortex_m/winograd.py has the bounds).
 */
#ifndef MIDGE_WINOGRAD_H
#define MIDGE_WINOGRAD_H

#include "midge_memory.h"

#define MIDGE_WINOGRAD_OUTPUTS 4 /* of a tile */
#define MIDGE_WINOGRAD_INPUTS 6  /* of a tile's row; and so many products */
#define MIDGE_WINOGRAD_FILTERS 4 /* that are taken at once */

/* Transforms six pixels of one row, given by where each ends: two words for four channels, which go
 * to `to`, and for each further product `stride` bytes on. */
void midge_winograd_transform(
    const int8_t *const *ends, midge_int32 *to, int32_t stride, int32_t channels);

/* What products need. The assembly knows the order of these members. */
typedef struct {
    const midge_int32 *x; /* [6, words] */
    const midge_int32 *x_end;
    int32_t stride; /* bytes of the words of one product: a multiple of 48 */
    midge_int32 *sums;
} midge_winograd_job;

/* Products of a tile with four filters, [6, 4]; returns where in the weights it left off. */
const midge_int32 *midge_winograd_products(const midge_winograd_job *job, const midge_int32 *w);

/* Outputs of four filters, four pixels of them `step` bytes apart; `sums` lie at a multiple of 16.
 * Returns where in the weights it left off. */
const midge_int32 *midge_winograd_outputs(
    const midge_int32 *sums, const midge_int32 *scales, int8_t *y, int32_t step);

#endif
