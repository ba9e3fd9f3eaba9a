#include "midge_gemmlowp_int16.h"

#include "midge_fixedpoint.h"

/* exp(-2**i) for i = -2 .. 4, in Q0.15. */
static const int16_t exp_of_minus_powers[7] = {25520, 19875, 12055, 4435, 600, 11, 0};

enum {
    EXP_OF_MINUS_EIGHTH = 28918,
    ONE_THIRD = 10923,
    FORTY_EIGHT_17THS = 23130, /* Q2.13, as the next two */
    MINUS_32_17THS = -15420,
    ONE_Q2 = 1 << 13
};

/* round(a * b / 2**15), ties upwards; only -1 times -1 would leave 16 bits. */
static int32_t multiply(int32_t a, int32_t b)
{
    const int32_t product = (a * b + (1 << 14)) >> 15;
    return product > INT16_MAX ? INT16_MAX : product;
}

static int32_t shift_left(int32_t x, int32_t bits)
{
    return midge_clamp(midge_shift_left(x, bits), INT16_MIN, INT16_MAX);
}

/* exp(a) for a in [-1/4, 0), Q0.15: four terms of the series about -1/8. */
static int32_t exp_on_last_quarter(int32_t a)
{
    const int32_t x = a + (1 << 12);
    const int32_t x2 = multiply(x, x);
    const int32_t x3 = multiply(x2, x);
    const int32_t x4 = multiply(x2, x2);
    const int32_t tail = multiply(midge_divide_by_pot(x4, 2) + x3, ONE_THIRD) + x2;
    return multiply(x + midge_divide_by_pot(tail, 1), EXP_OF_MINUS_EIGHTH) + EXP_OF_MINUS_EIGHTH;
}

/* exp of a value <= 0: the last quarter by series, each whole power of two by a factor. */
static int32_t exp_on_negative_values(int32_t value, int32_t integer_bits)
{
    const int32_t fraction_bits = 15 - integer_bits;
    const int32_t quarter = 1 << (fraction_bits - 2);
    const int32_t remainder = (value & (quarter - 1)) - quarter;
    const int32_t whole = remainder - value;
    const int32_t powers = integer_bits + 2 < 7 ? integer_bits + 2 : 7;
    int32_t result = exp_on_last_quarter(midge_shift_left(remainder, integer_bits));
    if (value == 0)
        return INT16_MAX;
    if (integer_bits > 5 && value < -(32 << fraction_bits))
        return 0;
    for (int32_t i = 0; i < powers; i++)
        if ((whole >> (fraction_bits + i - 2)) & 1)
            result = multiply(result, exp_of_minus_powers[i]);
    return result;
}

/* 1 / (1 + x) for x in [0, 1), as 1/2 of Q1.14: three steps of Newton and Raphson. */
static int32_t reciprocal_of_half_one_plus(int32_t x)
{
    const int32_t half = (x + INT16_MAX + 1) >> 1;
    int32_t y = multiply(half, MINUS_32_17THS) + FORTY_EIGHT_17THS;
    for (int32_t i = 0; i < 3; i++)
        y += shift_left(multiply(y, ONE_Q2 - multiply(half, y)), 2);
    return y;
}

int32_t midge_logistic_int16(int32_t value, int32_t integer_bits)
{
    const int32_t negative = value < 0 ? value : -value;
    const int32_t exponential = exp_on_negative_values(negative, integer_bits);
    const int32_t positive = shift_left(reciprocal_of_half_one_plus(exponential), 1);
    if (value == 0)
        return 1 << 14;
    return value > 0 ? positive : INT16_MAX - positive;
}

int32_t midge_tanh_int16(int32_t value, int32_t integer_bits)
{
    const int32_t negative = value < 0 ? value : -value;
    const int32_t exponential = exp_on_negative_values(negative, integer_bits + 1);
    const int32_t magnitude = shift_left(reciprocal_of_half_one_plus(exponential) - ONE_Q2, 2);
    if (value == 0)
        return 0;
    return value > 0 ? magnitude : -magnitude;
}
