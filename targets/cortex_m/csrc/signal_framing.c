/* Operators that carry samples on (kernels/signal_framing.py). */
#include <string.h>

#include "midge_copying.h"
#include "midge_fixedpoint.h"
#include "midge_kernels.h"

/* `count` bytes of x behind the `kept` ones of a state; the oldest go. */
static void push(int8_t *state, const int8_t *x, int32_t kept, int32_t count)
{
    if (count < kept) {
        midge_move(state, state + count, kept - count);
        midge_move(state + kept - count, x, count);
    } else {
        midge_move(state, x + count - kept, kept);
    }
}

/* `count` bytes: those of the state, at most `kept`, then those of x. */
static void begin_with(
    int8_t *y, const int8_t *state, int32_t kept, const int8_t *x, int32_t count)
{
    const int32_t old = kept < count ? kept : count;
    midge_move(y, state, old);
    midge_move(y + old, x, count - old);
}

void midge_signal_framer_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_framer_s16_params *p)
{
    const int32_t size = 2 * p->size, step = 2 * p->step, history = 2 * p->history;
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y, *state = arena + p->state;
    (void)constants;
    for (int32_t line = 0; line < p->outer; line++, state += history)
        for (int32_t frame = 0; frame < p->frames; frame++, x += step, y += size) {
            begin_with(y, state, history, x, size);
            push(state, x, history, step);
        }
    midge_int16 *seen = (midge_int16 *)(void *)state;
    arena[p->valid] = *seen >= p->waits;
    *seen = (int16_t)(*seen + p->frames < p->waits ? *seen + p->frames : p->waits);
}

void midge_signal_stacker_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_stacker_s16_params *p)
{
    const int32_t row = 2 * p->channels, frames = p->frames;
    int8_t *state = arena + p->state, *y = arena + p->y;
    midge_int16 *seen = (midge_int16 *)(void *)(state + frames * row);
    int32_t known = *seen ? *seen - 1 : 0;
    (void)constants;
    for (int32_t copies = *seen ? 1 : 1 + p->left; copies > 0; copies--, known++)
        midge_move(state + known * row, arena + p->x, row);
    arena[p->valid] = known == frames;
    if (known == frames) {
        midge_move(y, state, frames * row);
        known -= p->step;
        midge_move(state, state + p->step * row, known * row);
    } else {
        memset(y, 0, (size_t)(frames * row));
    }
    *seen = (int16_t)(known + 1);
}

void midge_signal_delay_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_delay_s16_params *p)
{
    const int32_t size = 2 * p->size, length = 2 * p->length;
    const int8_t *x = arena + p->x;
    int8_t *y = arena + p->y, *state = arena + p->state;
    (void)constants;
    for (int32_t line = 0; line < p->outer; line++, x += size, y += size, state += length) {
        begin_with(y, state, length, x, size);
        push(state, x, length, size);
    }
}

#define OVERLAP_ADD(type, add)                                                                    \
    {                                                                                             \
        const int32_t size = p->size, step = p->step, item = (int32_t)sizeof(type);               \
        const type *x = (const type *)(const void *)(arena + p->x);                               \
        type *state = (type *)(void *)(arena + p->state);                                         \
        int8_t *y = arena + p->y;                                                                 \
        (void)constants;                                                                          \
        for (int32_t line = 0; line < p->outer; line++, state += size)                            \
            for (int32_t frame = 0; frame < p->frames; frame++, x += size, y += item * step) {    \
                int8_t *bytes = (int8_t *)(void *)state;                                          \
                for (int32_t i = 0; i < size; i++)                                                \
                    state[i] = add(state[i], x[i]);                                               \
                midge_move(y, bytes, item * step);                                                \
                midge_move(bytes, bytes + item * step, item * (size - step));                     \
                memset(bytes + item * (size - step), 0, (size_t)(item * step));                   \
            }                                                                                     \
    }

#define ADD_S16(a, b) (int16_t)midge_clamp((a) + (b), INT16_MIN, INT16_MAX)
#define ADD_F32(a, b) ((a) + (b))

void midge_signal_overlap_add_s16(
    int8_t *arena, const int8_t *constants, const midge_signal_overlap_add_s16_params *p)
OVERLAP_ADD(midge_int16, ADD_S16)

void midge_signal_overlap_add_f32(
    int8_t *arena, const int8_t *constants, const midge_signal_overlap_add_f32_params *p)
OVERLAP_ADD(midge_float, ADD_F32)
