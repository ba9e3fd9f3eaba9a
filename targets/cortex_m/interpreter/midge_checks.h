/* Does what a kernel would touch lie inside the constants or the arena? Sizes are below 2**62. */
#ifndef MIDGE_CHECKS_H
#define MIDGE_CHECKS_H

#include "midge_interpreter.h"

static inline int fits(int64_t at, int64_t size, int64_t alignment, int64_t memory)
{
    return at >= 0 && size >= 0 && size <= memory && at <= memory - size && at % alignment == 0;
}

static inline int constant_fits(
    const midge_image *image, int64_t at, int64_t size, int64_t alignment)
{
    return fits(at, size, alignment, image->constant_bytes);
}

static inline int arena_fits(const midge_image *image, int64_t at, int64_t size, int64_t alignment)
{
    return fits(at, size, alignment, image->arena_bytes);
}

static inline int32_t number_at(const midge_image *image, int64_t at)
{
    return *(const int32_t *)(const void *)(image->constants + at);
}

/* Rounding shifts that C defines. */
static inline int shifts_fit(const midge_image *image, int64_t at, int64_t count)
{
    if (!constant_fits(image, at, 4 * count, 4))
        return 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t shift = number_at(image, at + 4 * i);
        if (shift < -31 || shift > 30)
            return 0;
    }
    return 1;
}

/* Numbers of at least -1, the first at least `least`. */
static inline int positive_fit(const midge_image *image, int64_t at, int64_t count, int32_t least)
{
    if (!constant_fits(image, at, 4 * count, 4) || number_at(image, at) < least)
        return 0;
    for (int64_t i = 0; i < count; i++)
        if (number_at(image, at + 4 * i) < -1)
            return 0;
    return 1;
}

/* Every entry of a row table: -1 if padding is allowed, else where a whole row is in the arena. */
static inline int rows_fit(
    const midge_image *image, int64_t at, int64_t entries, int64_t row, int64_t alignment,
    int padding)
{
    if (!constant_fits(image, at, 4 * entries, 4))
        return 0;
    for (int64_t i = 0; i < entries; i++) {
        const int32_t place = number_at(image, at + 4 * i);
        if (!(padding && place == -1) && !arena_fits(image, place, row, alignment))
            return 0;
    }
    return 1;
}

/* In each window of a table that `rows_fit` at least one row is not padding. */
static inline int windows_have_rows(
    const midge_image *image, int64_t at, int64_t windows, int64_t step, int64_t length)
{
    for (int64_t w = 0; w < windows; w++) {
        int64_t i = 0;
        while (i < length && number_at(image, at + 4 * (w * step + i)) < 0)
            i++;
        if (i == length)
            return 0;
    }
    return 1;
}

/* A walk by `count` sizes and steps, which stand in the table `axes` at the places of `pairs`; the
 * first `kept` sizes are also those of y. */
static inline int walk_fits(
    const midge_image *image, int64_t x, int64_t y, int64_t axes, const uint8_t *pairs, int count,
    int kept, int64_t bytes)
{
    enum { MOST = 1 << 24 };
    int64_t low = x, high = x, made = bytes;
    if (!constant_fits(image, axes, 8 * count, 4))
        return 0;
    for (int i = 0; i < count; i++, pairs += 2) {
        const int64_t size = number_at(image, axes + 4 * pairs[0]);
        const int64_t step = number_at(image, axes + 4 * pairs[1]);
        if (size < 1 || size > MOST || step < -MOST || step > MOST)
            return 0;
        low += step < 0 ? (size - 1) * step : 0;
        high += step > 0 ? (size - 1) * step : 0;
        made *= i < kept ? size : 1;
        if (made > image->arena_bytes)
            return 0;
    }
    return low >= 0 && arena_fits(image, high, bytes, 1) && arena_fits(image, y, made, 1);
}

#endif
