/* Depthwise convolution of 3 x 3 windows for cores with many registers: one channel along a row.
 *
 * Each column of inputs is read once and multiplied by all columns of weights that pass over it.
 * Weights are records of a channel each: its bias and multiplier, int32, nine bytes by kernel row,
 * and the exponent of its right shift. Padding is one row or column at most.
 */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

enum { TAPS = 3, EXPONENT = 2 * 4 + TAPS * TAPS, RECORD = EXPONENT + 3 };

/* A column of inputs or of weights. */
typedef struct {
    int32_t a, b, c;
} midge_column;

/* What all channels of a call share. */
typedef struct {
    int32_t channels;
    int32_t inside;    /* outputs of a row whose last column is inside the image */
    int32_t pad_left;  /* columns of padding, before */
    int32_t pad_right; /* and behind */
    int32_t zero;
    midge_output output;
} midge_sliding;

MIDGE_INLINE int32_t add_column(int32_t sum, midge_column x, midge_column w)
{
    return sum + x.a * w.a + x.b * w.b + x.c * w.c;
}

MIDGE_INLINE int32_t add_padding(int32_t sum, int32_t zero, midge_column w)
{
    return sum + zero * (w.a + w.b + w.c);
}

/* One channel of a row. A row of padding holds zero points: its share goes to the bias. */
MIDGE_INLINE void make_line(
    int8_t *y, const int8_t *arena, const midge_int32 *rows, const int8_t *record,
    const midge_sliding *s, int32_t stride, int relu)
{
    const int8_t *const w = record + 2 * 4;
    const int8_t *x0 = arena + rows[0], *x1 = arena + rows[1], *x2 = arena + rows[2];
    midge_column w0 = {w[0], w[3], w[6]}, w1 = {w[1], w[4], w[7]}, w2 = {w[2], w[5], w[8]};
    int32_t bias = midge_int32_at(record, 0)[0];
    if (rows[0] < 0) {
        bias += s->zero * (w0.a + w1.a + w2.a);
        w0.a = w1.a = w2.a = 0;
        x0 = x1;
    }
    if (rows[2] < 0) {
        bias += s->zero * (w0.c + w1.c + w2.c);
        w0.c = w1.c = w2.c = 0;
        x2 = x1;
    }
    const int32_t multiplier = midge_int32_at(record, 0)[1], exponent = record[EXPONENT];
    const int32_t step = s->channels;
#define NEXT_COLUMN (midge_column){*x0, *x1, *x2}, x0 += step, x1 += step, x2 += step
#define OUTPUT(sum) midge_output_of(sum, multiplier, exponent, s->output, relu)
    midge_column x;
    int32_t next; /* an output that has had its first column */
    if (s->pad_left) {
        next = add_padding(bias, s->zero, w0);
    } else {
        x = NEXT_COLUMN;
        next = add_column(bias, x, w0);
    }
    const int8_t *const end = y + s->inside * step;
    if (stride == 1) {
        x = NEXT_COLUMN;
        int32_t sum = add_column(next, x, w1);
        next = add_column(bias, x, w0);
        for (; y != end; y += step) {
            x = NEXT_COLUMN;
            *y = OUTPUT(add_column(sum, x, w2));
            sum = add_column(next, x, w1);
            next = add_column(bias, x, w0);
        }
        if (s->pad_right)
            *y = OUTPUT(add_padding(sum, s->zero, w2));
        return;
    }
    for (; y != end; y += step) {
        x = NEXT_COLUMN;
        const int32_t sum = add_column(next, x, w1);
        x = NEXT_COLUMN;
        *y = OUTPUT(add_column(sum, x, w2));
        next = add_column(bias, x, w0);
    }
    if (s->pad_right) {
        x = NEXT_COLUMN;
        *y = OUTPUT(add_padding(add_column(next, x, w1), s->zero, w2));
    }
#undef NEXT_COLUMN
#undef OUTPUT
}

void midge_depthwise_conv2d_sliding_s8(
    int8_t *arena, const int8_t *constants, const midge_depthwise_conv2d_sliding_s8_params *p)
{
    const midge_int32 *rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const int relu = p->least == p->output_zero;
    const int32_t pad_right =
        (p->width - 1) * p->stride_width - p->pad_left + TAPS > p->in_width;
    const midge_sliding shared = {
        p->channels, p->width - pad_right, p->pad_left, pad_right, p->input_zero,
        {p->output_zero, p->least, p->greatest}};
    for (int32_t row = 0; row < p->rows; row++, rows += p->stride_height) {
        const int8_t *record = constants + p->weights;
        for (int32_t c = 0; c < p->channels; c++, record += RECORD) {
            int8_t *const y = arena + y_rows[row] + c;
            if (p->stride_width == 1 && relu)
                make_line(y, arena + c, rows, record, &shared, 1, 1);
            else if (p->stride_width == 1)
                make_line(y, arena + c, rows, record, &shared, 1, 0);
            else
                make_line(y, arena + c, rows, record, &shared, 2, 0);
        }
    }
}
