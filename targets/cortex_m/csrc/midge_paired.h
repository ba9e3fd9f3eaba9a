/* Products of widened inputs with the weights of two filters at once.
 *
 * A word of weights holds, for two inputs, 256 * w1 + w0 of a filter and its neighbour
 * (targets/cortex_m/paired.py). A word of inputs holds the same two inputs of one pixel; the words
 * of a block's pixels take turns.
 */
#ifndef MIDGE_PAIRED_H
#define MIDGE_PAIRED_H

#include "midge_memory.h"

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__)
#define MIDGE_THUMB_DSP 1
#endif

#define MIDGE_PAIRED_PIXELS 3 /* of a block, at most */
#define MIDGE_PAIRED_UNIT 4   /* words that are taken at once */

/* What a block of pixels needs. The assembly knows the order of these members. */
typedef struct {
    const midge_int32 *x;
    const midge_int32 *x_end;
    int32_t units;          /* of weights: words / MIDGE_PAIRED_UNIT, at least 1 */
    int32_t zero;           /* 2 * output zero point + 1 */
    const midge_int32 *end; /* of all filters' weights */
    int8_t *y[MIDGE_PAIRED_PIXELS];
    const midge_int32 *w;
} midge_paired_job;

/* All filters of one, two or three pixels; outputs are clamped to int8. */
void midge_paired_product(const midge_paired_job *job, int32_t pixels);

/* Widens `count` neighbouring bytes for one of a block's `pixels`; returns where its next word is.
 * Of four bytes, 0 and 2 make a word, then 1 and 3; of one to three left, the last has no
 * partner, or two are partners. */
midge_int32 *midge_paired_widen(
    midge_int32 *to, const int8_t *x, int32_t count, int32_t pixels);

/* `count` words that hold `value` twice. */
midge_int32 *midge_paired_fill(midge_int32 *to, int32_t value, int32_t count, int32_t pixels);

/* How many words `count` neighbouring bytes take. */
MIDGE_INLINE int32_t midge_paired_words(int32_t count)
{
    return count / 4 * 2 + ((count & 3) + 1) / 2;
}

/* An activation's bounds, where they are inside int8's. */
void midge_clamp_bytes(int8_t *y, int32_t count, int32_t least, int32_t greatest);

#endif
