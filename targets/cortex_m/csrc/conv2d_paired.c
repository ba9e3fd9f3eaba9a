/* 2-D convolution: the windows of three output pixels, then two filters at a time. */
#include "midge_columns.h"
#include "midge_kernels.h"
#include "midge_paired.h"

typedef struct {
    midge_paired_job job;
    midge_paired_function *const *products;
} work;

static void product(void *given, const midge_int32 *columns, int8_t *const *y, int32_t pixels)
{
    work *const w = given;
    w->job.x_end = columns + w->job.units * MIDGE_PAIRED_UNIT * pixels;
    for (int32_t i = 0; i < pixels; i++)
        w->job.y[i] = y[i];
    w->products[pixels - 1](&w->job);
}

static void convolve(
    int8_t *arena, const int8_t *constants, const midge_conv2d_paired_s8_params *p,
    midge_paired_function *const *products)
{
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const int32_t block = (p->words + 5) * (p->filters / 2);
    midge_int32 *const columns = (midge_int32 *)(void *)(arena + p->columns);
    work made = {
        {columns, 0, p->words / MIDGE_PAIRED_UNIT, 2 * p->output_zero + 1, w + block, {0, 0, 0}, w},
        products};
    const midge_columns_shape shape = {
        MIDGE_COLUMNS_SHAPE(p),           midge_int32_at(constants, p->x),
        midge_int32_at(constants, p->y), columns, product, &made};
    midge_columns_walk(&shape, arena);
}

void midge_conv2d_paired_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_paired_s8_params *p)
{
    convolve(arena, constants, p, midge_paired_plain);
}

/* Where the least output is the zero point, or above. */
void midge_conv2d_paired_relu_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_paired_relu_s8_params *p)
{
    convolve(arena, constants, p, midge_paired_relu);
}
