/* Products of widened inputs with the weights of two filters at once.
 *
 * A word of weights holds, for two inputs, 256 * w1 + w0 of a filter and its neighbour
 * (targets/cortex_m/paired.py). A word of inputs holds the same two inputs of one pixel; the words
 * of a block's pixels take turns.
 */
#ifndef MIDGE_PAIRED_H
#define MIDGE_PAIRED_H

#include <string.h>

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

/* All filters of one, two or three pixels; outputs are clamped to int8. With `relu`, outputs under
 * the zero point may be other numbers under it. Apart, so that a linker leaves out what no layer of
 * a model needs. */
typedef void midge_paired_function(const midge_paired_job *job);
midge_paired_function midge_paired_product1;
extern midge_paired_function *const midge_paired_plain[MIDGE_PAIRED_PIXELS];
extern midge_paired_function *const midge_paired_relu[MIDGE_PAIRED_PIXELS];

/* What one pixel needs whose inputs are bytes. The assembly knows the order of these members. */
typedef struct {
    const int8_t *x;
    const int8_t *x_end; /* a multiple of 16 bytes after x */
    int32_t odd;         /* whether it is no multiple of 32 */
    int32_t zero;        /* 2 * output zero point + 1 */
    const midge_int32 *end;
    int8_t *y;
    const midge_int32 *w;
} midge_paired_bytes_job;

/* All filters, of which there is a multiple of four, two blocks in one: both blocks' biases, their
 * words, two of each in turn, and both blocks' scales. Widens each input once for four filters. */
void midge_paired_bytes_product(const midge_paired_bytes_job *job);

/* Two numbers in a word. */
MIDGE_INLINE midge_int32 midge_pair_of(int32_t low, int32_t high)
{
    return (midge_int32)(((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16));
}

MIDGE_INLINE void midge_paired_widen_four(midge_int32 *to, const int8_t *x, int32_t pixels)
{
#if defined(MIDGE_THUMB_DSP)
    uint32_t bytes, even, odd;
    memcpy(&bytes, x, sizeof bytes);
    __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
    to[0] = (midge_int32)even;
    to[pixels] = (midge_int32)odd;
#else
    to[0] = midge_pair_of(x[0], x[2]);
    to[pixels] = midge_pair_of(x[1], x[3]);
#endif
}

/* Widens `count` neighbouring bytes for one of a block's `pixels`; returns where its next word is.
 * Of four bytes, 0 and 2 make a word, then 1 and 3; of one to three left, the last has no
 * partner, or two are partners. Made for a known number of pixels. */
MIDGE_INLINE midge_int32 *midge_paired_widen_inline(
    midge_int32 *to, const int8_t *x, int32_t count, int32_t pixels)
{
    const int32_t tail = count & 3;
    for (int32_t left = count >> 4; left > 0; left--, x += 16, to += 8 * pixels) {
        midge_paired_widen_four(to, x, pixels);
        midge_paired_widen_four(to + 2 * pixels, x + 4, pixels);
        midge_paired_widen_four(to + 4 * pixels, x + 8, pixels);
        midge_paired_widen_four(to + 6 * pixels, x + 12, pixels);
    }
    for (int32_t left = count >> 2 & 3; left > 0; left--, x += 4, to += 2 * pixels)
        midge_paired_widen_four(to, x, pixels);
    if (tail == 0)
        return to;
    to[0] = midge_pair_of(x[0], tail == 1 ? 0 : x[tail - 1]);
    if (tail < 3)
        return to + pixels;
    to[pixels] = midge_pair_of(x[1], 0);
    return to + 2 * pixels;
}

/* The same for any number of pixels. */
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
