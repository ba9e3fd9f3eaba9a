/* Transcendental functions of 16-bit fixed point: the C twin of kernels/gemmlowp_int16.py. */
#ifndef MIDGE_GEMMLOWP_INT16_H
#define MIDGE_GEMMLOWP_INT16_H

#include <stdint.h>

/* Of an int16 value with `integer_bits` integer bits, in Q0.15: 1 / (1 + exp(-x)), for at most 7. */
int32_t midge_logistic_int16(int32_t value, int32_t integer_bits);

/* tanh(x), for at most 6. */
int32_t midge_tanh_int16(int32_t value, int32_t integer_bits);

#endif
