/* The windows of a convolution's output pixels, widened to columns of words, a few pixels at a time.
 *
 * What multiplies them is the caller's: a word of inputs holds two of one pixel, and the words of a
 * block's pixels take turns.
 */
#ifndef MIDGE_COLUMNS_H
#define MIDGE_COLUMNS_H

#include "midge_memory.h"

#define MIDGE_COLUMNS_PIXELS 3 /* of a block, at most */

/* All filters of a block of pixels: its columns, and where its outputs go. */
typedef void midge_columns_product(
    void *job, const midge_int32 *columns, int8_t *const *y, int32_t pixels);

/* A convolution's numbers, as its kernel's parameters have them. */
typedef struct {
    int32_t rows, width, filters, in_width, in_channels;
    int32_t kernel_height, kernel_width, stride_height, stride_width;
    int32_t dilation_height, dilation_width, pad_left;
    int32_t words; /* of a pixel's column */
    int32_t input_zero, least, greatest;
    int32_t pixels; /* of a block */
    const midge_int32 *x_rows, *y_rows;
    midge_int32 *columns;
    midge_columns_product *product;
    void *job; /* of the product */
} midge_columns_shape;

/* Every pixel of every row; outputs are clamped to the activation's bounds. */
void midge_columns_walk(const midge_columns_shape *p, int8_t *arena);

/* A shape from the parameters of a kernel that has these names; the last five members are left. */
#define MIDGE_COLUMNS_SHAPE(p)                                                                    \
    (p)->rows, (p)->width, (p)->filters, (p)->in_width, (p)->in_channels, (p)->kernel_height,     \
        (p)->kernel_width, (p)->stride_height, (p)->stride_width, (p)->dilation_height,           \
        (p)->dilation_width, (p)->pad_left, (p)->words, (p)->input_zero, (p)->least,              \
        (p)->greatest, (p)->pixels

#endif
