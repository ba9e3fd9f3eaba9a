/* Maximum pooling of bits (kernels/bmax_pool2d.py): bit 1 is -1, so the words are ANDed. */
#include "midge_bits.h"
#include "midge_kernels.h"
#include "midge_window.h"

void midge_bmax_pool2d(
    int8_t *arena, const int8_t *constants, const midge_bmax_pool2d_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t row = 0; row < p->rows; row++, x_rows += p->stride_height) {
        midge_uint32 *y = (midge_uint32 *)(void *)(arena + y_rows[row]);
        for (int32_t column = 0; column < p->width; column++) {
            const midge_taps taps = midge_taps_at(
                column * p->stride_width - p->pad_left, p->window_width, 1, p->in_width);
            for (int32_t word = 0; word < p->channels; word++) {
                uint32_t met = ~0u;
                for (int32_t ky = 0; ky < p->window_height; ky++) {
                    const midge_uint32 *x =
                        (const midge_uint32 *)(const void *)midge_row(arena, x_rows, ky);
                    if (x == NULL)
                        continue;
                    for (int32_t kx = taps.begin; kx < taps.end; kx++)
                        met &= x[(taps.left + kx) * p->channels + word];
                }
                *y++ = met;
            }
        }
    }
}
