/* Counting bits that differ, eight filters at a time, 128 bits a vector.
 *
 * Of three vectors a, b and c only a ^ b ^ c, a ^ b and a ^ c are kept, of weights and of windows
 * alike. Differences of such sums are such sums of differences, so with s, p and q of the differences
 * the adder that would take five operations takes two: its sum is s, its carry s ^ (p | q), and two
 * vectors are counted instead of three. A table counts the bits of a vector's bytes.
 */
#ifndef MIDGE_HELIUM_BITS_H
#define MIDGE_HELIUM_BITS_H

#include "midge_bits.h"

enum {
    MIDGE_BITS_FILTERS = 8, /* in a block */
    MIDGE_BITS_WORDS = 4,   /* in a vector */
    MIDGE_BITS_TRIPLE = 3   /* vectors that are added by place */
};

/* Windows and filters are `triples` times three vectors, then `rest` single ones. */
typedef struct {
    int32_t triples;
    int32_t rest;
    int32_t blocks; /* of filters, one behind the other */
} midge_helium_bits;

/* Three vectors each, of x as it is, become their sums. */
void midge_helium_bits_fold(midge_uint32 *x, int32_t triples);

/* How many of x's bits are 1, before they are folded. */
int32_t midge_helium_bits_ones(const midge_uint32 *x, int32_t vectors);

/* For each filter of the blocks, how many bits differ from x. A block is [triples][8 filters][3],
 * then [rest][8 filters] vectors. */
void midge_helium_bits_count(
    midge_int32 *counts, const midge_uint32 *x, const int8_t *blocks,
    const midge_helium_bits *shape);

/* A byte for each block: a bit is 1 where the count, and the filter's int32, aren't negative
 * together. The block begins with these eight. */
void midge_helium_bits_over(
    int8_t *y, const midge_uint32 *x, const int8_t *blocks, const midge_helium_bits *shape);

#endif
