/* Inner loops over eight outputs: four channels of two neighbouring pixels.
 *
 * With Helium (Armv8.1-M's vector extension) they are assembly, for more values live in them than
 * compilers keep in registers; elsewhere they are C of the same bits.
 */
#ifndef MIDGE_HELIUM_H
#define MIDGE_HELIUM_H

#include "midge_memory.h"

enum {
    MIDGE_STEP = 16,    /* products that one instruction adds up */
    MIDGE_CHANNELS = 4, /* in a block */
    MIDGE_COLUMN = 64   /* bytes of a transposed column: 16 channels of four rows */
};

/* What one call does, in the order in which the assembly reads it.
 *
 * Constants of a block of four channels: their biases, multipliers and shifts, int32 each, then
 * weights. Blocks lie one after the other.
 */
typedef struct {
    int32_t slot;              /* bytes of a pixel's window in x */
    int32_t more_steps;        /* of MIDGE_STEP products, after the first */
    const int8_t *blocks;      /* constants */
    int32_t y_step;            /* from a pixel of y to the next but one */
    int32_t zero;              /* point of y */
    const int8_t *x;
    int8_t *y;
    int32_t pairs;             /* of pixels, the last perhaps half */
    int32_t block_count;
    uint32_t mask;             /* of y's bytes that are written: bits 0-1 the first channel's of the
                                  first pixel, bits 2-3 of the second, bits 4-5 the next channel's */
    uint16_t places[8];        /* of these bytes in y */
    int32_t least;
    int32_t greatest;
    uint32_t last_mask;        /* of the last pair */
} midge_helium_job;

typedef void midge_helium_loop(const midge_helium_job *job);

/* Each of these loops has a quicker twin for y whose range is from its zero point, -128, to 127. */
MIDGE_INLINE int midge_helium_is_rectified(int32_t zero, int32_t greatest)
{
    return zero == INT8_MIN && greatest == INT8_MAX;
}

/* Each pixel's window is a slot of x, each slot a whole number of steps. A block's weights are
 * [steps][4 channels][16 products]. */
midge_helium_loop midge_helium_products, midge_helium_products_rectified;

/* Windows of three columns of up to four rows, in x as [columns][channels][4 rows]; two pixels are
 * one column apart, or two. `slot` and `more_steps` are not read. A block's weights are, for each
 * channel, four zeros and [3 columns][4 rows], and 16 zeros at the end. */
midge_helium_loop midge_helium_windows, midge_helium_windows_rectified;
midge_helium_loop midge_helium_windows_stride2, midge_helium_windows_stride2_rectified;

/* Windows of one column of up to 16 rows, in x as [columns][channels][4 rows], of which every fourth
 * column is read: two pixels are one column apart. A block's weights are 16 for each channel. */
midge_helium_loop midge_helium_rows, midge_helium_rows_rectified;

/* Eight units of one vector x of `more_steps + 1` steps. A block is of eight units, its weights
 * [steps][8 units][16 products]; `slot`, `y_step` and `pairs` are not read. */
midge_helium_loop midge_helium_units;

/* `job` where all of y's pixels and channels lie side by side: `blocks` of four channels, the last
 * perhaps less, are made by `run` at `count` pixels. */
void midge_helium_run(
    midge_helium_job *job, midge_helium_loop *run, int32_t channels, int32_t count,
    int32_t block_bytes, int32_t block_step);

/* A job's places, for y of `pixel` bytes a pixel. */
void midge_helium_places(midge_helium_job *job, int32_t pixel);

#endif
