/* 2-D convolution by weights of 16 bits: the windows of three output pixels, two filters at a time. */
#include "midge_columns.h"
#include "midge_kernels.h"
#include "midge_wide.h"

typedef struct {
    midge_wide_job job;
    int32_t relu;
} work;

static void product(void *given, const midge_int32 *columns, int8_t *const *y, int32_t pixels)
{
    work *const w = given;
    w->job.x_end = columns + w->job.units * MIDGE_WIDE_UNIT * pixels;
    for (int32_t i = 0; i < pixels; i++)
        w->job.y[i] = y[i];
    midge_wide_product(&w->job, pixels, w->relu);
}

void midge_conv2d_wide_s8(
    int8_t *arena, const int8_t *constants, const midge_conv2d_wide_s8_params *p)
{
    const midge_int32 *w = midge_int32_at(constants, p->weights);
    const int32_t block = 2 * p->words + 12;
    midge_int32 *const columns = (midge_int32 *)(void *)(arena + p->columns);
    work made = {
        {columns, 0, p->words / MIDGE_WIDE_UNIT, w + block * (p->filters / 2), {0, 0, 0}, w},
        p->least >= p->output_zero};
    const midge_columns_shape shape = {
        MIDGE_COLUMNS_SHAPE(p),           midge_int32_at(constants, p->x),
        midge_int32_at(constants, p->y), columns, product, &made};
    midge_columns_walk(&shape, arena);
}
