/* Unidirectional sequence LSTM (kernels/lstm.py). */
#include <string.h>

#include "midge_dot.h"
#include "midge_fixedpoint.h"
#include "midge_gemmlowp_int16.h"
#include "midge_kernels.h"

enum { FORGET = 0, CANDIDATE = 1, OUTPUT = 2, TAKE = 3, GATE_INTEGER_BITS = 3 };

/* What all units of one step read. */
typedef struct {
    const midge_lstm_s8_params *p;
    const int8_t *constants;
    const int8_t *x;
    const int8_t *hidden;
} step_inputs;

/* One unit of a gate before its activation, in Q3.12. The biases hold the zero points. */
static int32_t gate_sum(const step_inputs *s, int32_t gate, int32_t unit)
{
    const midge_lstm_s8_params *p = s->p;
    const midge_offsets none = {0, 0};
    const int32_t row = gate * p->units + unit;
    const midge_int32 *rescale = midge_int32_at(s->constants, p->rescale) + 4 * gate;
    const int32_t from_x = midge_dot_s8(
        midge_int32_at(s->constants, p->input_bias)[row], s->x,
        s->constants + p->input_weights + row * p->depth, p->depth, none);
    const int32_t from_hidden = midge_dot_s8(
        midge_int32_at(s->constants, p->recurrent_bias)[row], s->hidden,
        s->constants + p->recurrent_weights + row * p->units, p->units, none);
    const int32_t input =
        midge_clamp(midge_scale(from_x, rescale[0], rescale[1]), INT16_MIN, INT16_MAX);
    const int64_t both = (int64_t)input + midge_scale(from_hidden, rescale[2], rescale[3]);
    if (both < INT16_MIN)
        return INT16_MIN;
    return both > INT16_MAX ? INT16_MAX : (int32_t)both;
}

static int32_t next_cell(const step_inputs *s, int32_t unit, int32_t cell)
{
    const midge_lstm_s8_params *p = s->p;
    const int32_t forget = midge_logistic_int16(gate_sum(s, FORGET, unit), GATE_INTEGER_BITS);
    const int32_t candidate = midge_tanh_int16(gate_sum(s, CANDIDATE, unit), GATE_INTEGER_BITS);
    const int32_t take =
        p->gates == 4 ? midge_logistic_int16(gate_sum(s, TAKE, unit), GATE_INTEGER_BITS)
                      : INT16_MAX - forget;
    const int32_t kept = midge_divide_by_pot(forget * cell, 15);
    const int32_t added = midge_divide_by_pot(take * candidate, 15 + p->cell_bits);
    const int32_t changed = midge_clamp(kept + added, INT16_MIN, INT16_MAX);
    return p->cell_clip > 0 ? midge_clamp(changed, -p->cell_clip, p->cell_clip) : changed;
}

void midge_lstm_s8(int8_t *arena, const int8_t *constants, const midge_lstm_s8_params *p)
{
    const midge_int32 *x_rows = midge_int32_at(constants, p->x);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    for (int32_t step = 0; step < p->rows; step++)
        for (int32_t batch = 0; batch < p->width; batch++) {
            int8_t *hidden = arena + p->hidden + batch * p->units;
            midge_int16 *cell = (midge_int16 *)(void *)(arena + p->cell) + batch * p->units;
            const step_inputs s = {p, constants, arena + x_rows[step] + batch * p->depth, hidden};
            int8_t *y = arena + y_rows[step] + batch * p->units;
            for (int32_t unit = 0; unit < p->units; unit++) {
                const int32_t changed = next_cell(&s, unit, cell[unit]);
                cell[unit] = (int16_t)changed;
                const int32_t output =
                    midge_logistic_int16(gate_sum(&s, OUTPUT, unit), GATE_INTEGER_BITS);
                const int32_t scaled = midge_scale(
                    output * midge_tanh_int16(changed, p->cell_bits), p->hidden_multiplier,
                    p->hidden_shift);
                y[unit] = (int8_t)midge_clamp(scaled + p->hidden_zero, INT8_MIN, INT8_MAX);
            }
            /* The gates of every unit read the old hidden state, so it changes only now. */
            memcpy(hidden, y, (size_t)p->units);
        }
}
