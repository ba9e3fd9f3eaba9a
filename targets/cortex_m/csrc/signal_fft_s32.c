/* Real Fourier transforms of 32-bit numbers (kernels/signal_fft.py). */
#include "midge_kernels.h"
#include "midge_memory.h"

typedef midge_int32 midge_fft_number;
typedef int64_t midge_fft_wide;
#define MIDGE_FFT_BITS 31
#include "midge_fft.h"

void midge_signal_rfft_s32(
    int8_t *arena, const int8_t *constants, const midge_signal_rfft_s32_params *p)
MIDGE_FFT_FORWARD

void midge_signal_irfft_s32(
    int8_t *arena, const int8_t *constants, const midge_signal_irfft_s32_params *p)
MIDGE_FFT_BACKWARD
