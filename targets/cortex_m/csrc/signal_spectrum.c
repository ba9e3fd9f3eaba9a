/* What stands round a Fourier transform (kernels/signal_spectrum.py). */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_memory.h"

void midge_signal_window_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_window_s16_params *p)
{
    const midge_int16 *weights = (const midge_int16 *)(const void *)(constants + p->weights);
    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + p->x);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    for (int32_t row = 0; row < p->rows; row++, x += p->count, y += p->count)
        for (int32_t i = 0; i < p->count; i++)
            y[i] = (int16_t)midge_clamp(x[i] * weights[i] >> p->shift, INT16_MIN, INT16_MAX);
}

void midge_signal_fft_auto_scale_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_fft_auto_scale_s16_params *p)
{
    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + p->x);
    midge_int16 *y = (midge_int16 *)(void *)(arena + p->y);
    int32_t greatest = 0, bits = 0;
    (void)constants;
    for (int32_t i = 0; i < p->count; i++)
        if (x[i] > greatest)
            greatest = x[i];
        else if (-x[i] > greatest)
            greatest = x[i] > INT16_MIN ? -x[i] : x[i];
    if (greatest > 0)
        while (greatest << bits < 1 << 14)
            bits++;
    for (int32_t i = 0; i < p->count; i++)
        y[i] = (int16_t)(x[i] * (1 << bits));
    *(midge_int32 *)(void *)(arena + p->bits) = bits;
}

void midge_signal_energy_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_energy_s16_params *p)
{
    const midge_int16 *x = (const midge_int16 *)(const void *)(arena + p->x);
    midge_uint32 *y = (midge_uint32 *)(void *)(arena + p->y);
    (void)constants;
    for (int32_t i = 0; i < p->count; i++) {
        const uint32_t real = (uint32_t)(x[2 * i] * x[2 * i]);
        const uint32_t imaginary = (uint32_t)(x[2 * i + 1] * x[2 * i + 1]);
        y[i] = p->start <= i && i < p->end ? real + imaginary : 0;
    }
}
