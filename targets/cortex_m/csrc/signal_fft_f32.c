/* Real Fourier transforms of floats (kernels/signal_fft.py). */
#include "midge_kernels.h"
#include "midge_memory.h"

typedef midge_float midge_fft_number;
#include "midge_fft.h"

void midge_signal_rfft_f32(
    int8_t *arena, const int8_t *constants, const midge_signal_rfft_f32_params *p)
MIDGE_FFT_FORWARD

void midge_signal_irfft_f32(
    int8_t *arena, const int8_t *constants, const midge_signal_irfft_f32_params *p)
{
    MIDGE_FFT_BACKWARD
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    for (int32_t i = 0; i < p->rows * p->length; i++)
        y[i] /= (float)p->length;
}
