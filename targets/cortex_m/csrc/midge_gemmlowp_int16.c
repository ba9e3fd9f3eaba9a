/* Transcendental functions of 16-bit fixed point. */
#include "midge_gemmlowp_int16.h"

#include "midge_fixedpoint.h"

/* exp(-2**k) in Q0.15, for the bits k = -2, -1, ... of an argument. */
static const int32_t exp_of_minus_powers[] = {25520, 19875, 12055, 4435, 600, 11, 0};

enum {
    POWERS = 7,
    EXP_OF_MINUS_EIGHTH = 28918,
    ONE_THIRD = 10923,
    FORTY_EIGHT_17THS = 23130,
    MINUS_32_17THS = -15420,
    ONE_Q2 = 1 << 13
};

static int32_t multiply(int32_t a, int32_t b)
{
    const int32_t product = (a * b + (1 << 14)) >> 15;
    return product < INT16_MAX ? product : INT16_MAX;
}

static int32_t shift_left(int32_t x, int32_t bits)
{
    return midge_clamp(x * (1 << bits), INT16_MIN, INT16_MAX);
}

/* exp on [-1/4, 0): the Taylor polynomial of degree 4 about -1/8. */
static int32_t exp_on_last_quarter(int32_t a)
{
    const int32_t x = a + (1 << 12);
    const int32_t x2 = multiply(x, x), x3 = multiply(x2, x), x4 = multiply(x2, x2);
    const int32_t tail = multiply(midge_divide_by_pot(x4, 2) + x3, ONE_THIRD) + x2;
    return multiply(x + midge_divide_by_pot(tail, 1), EXP_OF_MINUS_EIGHTH) + EXP_OF_MINUS_EIGHTH;
}

static int32_t exp_on_negative_values(int32_t value, int32_t integer_bits)
{
    const int32_t fraction_bits = 15 - integer_bits;
    const int32_t quarter = 1 << (fraction_bits - 2);
    const int32_t remainder = (value & (quarter - 1)) - quarter;
    const int32_t whole = remainder - value;
    if (value == 0)
        return INT16_MAX;
    if (integer_bits > 5 && value < -(32 << fraction_bits))
        return 0;
    int32_t result = exp_on_last_quarter(remainder * (1 << integer_bits));
    for (int32_t i = 0; i < POWERS && i < integer_bits + 2; i++)
        if ((whole >> (fraction_bits + i - 2)) & 1)
            result = multiply(result, exp_of_minus_powers[i]);
    return result;
}

/* 2 / (1 + x) in Q2.13: three Newton-Raphson steps. */
static int32_t reciprocal_of_half_one_plus(int32_t x)
{
    const int32_t half = (x + INT16_MAX + 1) >> 1;
    int32_t y = multiply(half, MINUS_32_17THS) + FORTY_EIGHT_17THS;
    for (int32_t step = 0; step < 3; step++)
        y += shift_left(multiply(y, ONE_Q2 - multiply(half, y)), 2);
    return y;
}

int32_t midge_logistic_int16(int32_t value, int32_t integer_bits)
{
    if (value == 0)
        return 1 << 14;
    const int32_t exponential = exp_on_negative_values(value < 0 ? value : -value, integer_bits);
    const int32_t positive = shift_left(reciprocal_of_half_one_plus(exponential), 1);
    return value > 0 ? positive : INT16_MAX - positive;
}

int32_t midge_tanh_int16(int32_t value, int32_t integer_bits)
{
    if (value == 0)
        return 0;
    const int32_t exponential =
        exp_on_negative_values(value < 0 ? value : -value, integer_bits + 1);
    const int32_t magnitude =
        shift_left(reciprocal_of_half_one_plus(exponential) - ONE_Q2, 2);
    return value > 0 ? magnitude : -magnitude;
}
