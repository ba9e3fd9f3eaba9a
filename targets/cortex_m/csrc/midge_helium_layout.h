/* Images as the loops of midge_helium.h read them: windows in slots, columns of four rows. */
#ifndef MIDGE_HELIUM_LAYOUT_H
#define MIDGE_HELIUM_LAYOUT_H

#include "midge_helium.h"

/* Windows of neighbouring pixels: kernel rows of `row` bytes, one behind the other in a slot. */
typedef struct {
    const int8_t *base;        /* lines are offsets from it, or negative for lines of padding */
    const midge_int32 *lines;
    int32_t line_count;
    int32_t line_step;         /* between two entries of `lines` */
    int32_t line_bytes;        /* of the image */
    int32_t row;
    int32_t offset;            /* of the first window in a line, in bytes; may be negative */
    int32_t step;              /* from a window to the next, in bytes */
    int32_t slot;
    int32_t zero;              /* what lies outside of the image */
} midge_helium_image;

/* The windows of `count` pixels. Up to 15 more bytes are written after them. */
void midge_helium_gather(int8_t *to, const midge_helium_image *image, int32_t count);

/* Columns of 16 channels: byte 4 * c + r of a column is channel c of row r. Rows are `step` bytes
 * from one column to the next; of `channels` channels no more than that are read. */
void midge_helium_transpose(
    int8_t *to, const int8_t *const rows[4], const int32_t step[4], int32_t columns,
    int32_t channels);

/* Columns of nothing but `zero`. */
void midge_helium_pad(int8_t *to, int32_t number, int32_t zero);

#endif
