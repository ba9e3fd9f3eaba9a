/* Places of the greatest and least numbers (kernels/extreme.py). */
#include "midge_kernels.h"
#include "midge_memory.h"

/* Whether a number takes the place of the best before it. */
#define BEYOND(value, best)                                                                       \
    ((value) != (value) || (best) != (best)                                                       \
         ? (value) != (value) && (p->last || (best) == (best))                                    \
         : (value) == (best) ? p->last : p->least ? (value) < (best) : (value) > (best))

#define EXTREME_BODY(type)                                                                        \
    {                                                                                             \
        const type *x = (const type *)(const void *)(arena + p->x);                               \
        (void)constants;                                                                          \
        for (int32_t outer = 0; outer < p->outer; outer++, x += p->size * p->inner)               \
            for (int32_t i = 0; i < p->inner; i++) {                                              \
                int32_t place = 0;                                                                \
                type best = x[i];                                                                 \
                for (int32_t j = 1; j < p->size; j++)                                             \
                    if (BEYOND(x[j * p->inner + i], best)) {                                      \
                        best = x[j * p->inner + i];                                               \
                        place = j;                                                                \
                    }                                                                             \
                if (p->wide)                                                                      \
                    ((midge_int64 *)(void *)(arena + p->y))[outer * p->inner + i] = place;        \
                else                                                                              \
                    ((midge_int32 *)(void *)(arena + p->y))[outer * p->inner + i] = place;        \
            }                                                                                     \
    }

void midge_extreme_s8(int8_t *arena, const int8_t *constants, const midge_extreme_s8_params *p)
EXTREME_BODY(int8_t)

void midge_extreme_s16(int8_t *arena, const int8_t *constants, const midge_extreme_s16_params *p)
EXTREME_BODY(midge_int16)

void midge_extreme_s32(int8_t *arena, const int8_t *constants, const midge_extreme_s32_params *p)
EXTREME_BODY(midge_int32)

void midge_extreme_f32(int8_t *arena, const int8_t *constants, const midge_extreme_f32_params *p)
EXTREME_BODY(midge_float)
