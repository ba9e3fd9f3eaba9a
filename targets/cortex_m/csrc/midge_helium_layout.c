/* See midge_helium_layout.h. */
#include "midge_helium_layout.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

#include "midge_fixedpoint.h"

/* Bits of the bytes from `begin` to `end`, which may lie outside of 0 to 16. */
static mve_pred16_t bytes_between(int32_t begin, int32_t end)
{
    const uint32_t from = (uint32_t)midge_clamp(begin, 0, 16), to = (uint32_t)midge_clamp(end, 0, 16);
    return (mve_pred16_t)(((1u << to) - 1u) & ~((1u << from) - 1u));
}

/* A pixel whose kernel rows are no longer than a vector. */
MIDGE_INLINE void gather_short(
    int8_t *to, const midge_helium_image *image, int32_t offset, mve_pred16_t inside,
    int8x16_t padding)
{
    const midge_int32 *line = image->lines;
    const int8_t *const base = image->base + offset;
    for (int32_t i = image->line_count; i > 0; i--, line += image->line_step, to += image->row) {
        const mve_pred16_t here = *line >= 0 ? inside : 0;
        vstrbq_s8(to, vpselq_s8(vldrbq_z_s8(base + *line, here), padding, here));
    }
}

/* A pixel whose kernel rows are whole vectors that lie in the image, or lines of padding. */
MIDGE_INLINE void gather_whole(
    int8_t *to, const midge_helium_image *image, int32_t offset, int8x16_t padding)
{
    const midge_int32 *line = image->lines;
    for (int32_t i = image->line_count; i > 0; i--, line += image->line_step) {
        const int8_t *x = image->base + *line + offset;
        if (*line >= 0)
            for (int32_t k = image->row; k > 0; k -= MIDGE_STEP, x += MIDGE_STEP, to += MIDGE_STEP)
                vstrbq_s8(to, vldrbq_s8(x));
        else
            for (int32_t k = image->row; k > 0; k -= MIDGE_STEP, to += MIDGE_STEP)
                vstrbq_s8(to, padding);
    }
}

MIDGE_INLINE void gather_any(
    int8_t *to, const midge_helium_image *image, int32_t offset, int8x16_t padding)
{
    const midge_int32 *line = image->lines;
    for (int32_t i = image->line_count; i > 0; i--, line += image->line_step, to += image->row) {
        const int32_t end = *line >= 0 ? image->line_bytes - offset : 0;
        for (int32_t k = 0; k < image->row; k += MIDGE_STEP) {
            const int32_t last = end < image->row ? end : image->row;
            const mve_pred16_t inside = bytes_between(-offset - k, last - k);
            const int8_t *const x = image->base + *line + offset + k;
            vstrbq_s8(to + k, vpselq_s8(vldrbq_z_s8(x, inside), padding, inside));
        }
    }
}

void midge_helium_gather(int8_t *to, const midge_helium_image *given, int32_t count)
{
    /* A copy of its own: a store to `to` might change the other for all that the compiler knows. */
    const midge_helium_image own = *given, *const image = &own;
    const int8x16_t padding = vdupq_n_s8((int8_t)image->zero);
    const int32_t row = image->row, last = image->line_bytes - row;
    const mve_pred16_t all = bytes_between(0, row);
    int32_t offset = image->offset;
    for (; count > 0; count--, offset += image->step, to += image->slot) {
        const int inside = offset >= 0 && offset <= last;
        if (row <= MIDGE_STEP)
            gather_short(
                to, image, offset,
                inside ? all
                       : bytes_between(-offset, offset > last ? image->line_bytes - offset : row),
                padding);
        else if (inside && (row & (MIDGE_STEP - 1)) == 0)
            gather_whole(to, image, offset, padding);
        else
            gather_any(to, image, offset, padding);
    }
}

void midge_helium_transpose(
    int8_t *to, const int8_t *const rows[4], const int32_t step[4], int32_t count,
    int32_t channels)
{
    const int8_t *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    const int32_t s0 = step[0], s1 = step[1], s2 = step[2], s3 = step[3];
    if (channels >= MIDGE_STEP)
        for (; count > 0; count--, to += MIDGE_COLUMN, r0 += s0, r1 += s1, r2 += s2, r3 += s3) {
            const int8x16x4_t column = {
                {vldrbq_s8(r0), vldrbq_s8(r1), vldrbq_s8(r2), vldrbq_s8(r3)}};
            vst4q_s8(to, column);
        }
    const mve_pred16_t read = vctp8q((uint32_t)channels);
    for (; count > 0; count--, to += MIDGE_COLUMN, r0 += s0, r1 += s1, r2 += s2, r3 += s3) {
        const int8x16x4_t column = {{vldrbq_z_s8(r0, read), vldrbq_z_s8(r1, read),
                                     vldrbq_z_s8(r2, read), vldrbq_z_s8(r3, read)}};
        vst4q_s8(to, column);
    }
}

void midge_helium_pad(int8_t *to, int32_t number, int32_t zero)
{
    const int8x16_t padding = vdupq_n_s8((int8_t)zero);
    for (; number > 0; number--, to += MIDGE_COLUMN) {
        vstrbq_s8(to, padding);
        vstrbq_s8(to + 16, padding);
        vstrbq_s8(to + 32, padding);
        vstrbq_s8(to + 48, padding);
    }
}

#else

void midge_helium_gather(int8_t *to, const midge_helium_image *image, int32_t count)
{
    for (int32_t pixel = 0; pixel < count; pixel++, to += image->slot)
        for (int32_t i = 0; i < image->line_count; i++)
            for (int32_t k = 0; k < image->row; k++) {
                const int32_t line = image->lines[i * image->line_step];
                const int32_t at = image->offset + pixel * image->step + k;
                to[i * image->row + k] = line >= 0 && at >= 0 && at < image->line_bytes
                                             ? image->base[line + at]
                                             : (int8_t)image->zero;
            }
}

void midge_helium_transpose(
    int8_t *to, const int8_t *const rows[4], const int32_t step[4], int32_t count,
    int32_t channels)
{
    for (int32_t column = 0; column < count; column++, to += MIDGE_COLUMN)
        for (int32_t channel = 0; channel < 16; channel++)
            for (int32_t row = 0; row < 4; row++)
                to[4 * channel + row] =
                    channel < channels ? rows[row][column * step[row] + channel] : 0;
}

void midge_helium_pad(int8_t *to, int32_t number, int32_t zero)
{
    for (int32_t i = 0; i < number * MIDGE_COLUMN; i++)
        to[i] = (int8_t)zero;
}

#endif
