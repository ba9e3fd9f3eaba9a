/* The sum of several tensors (kernels/add_n.py). */
#include "midge_kernels.h"
#include "midge_sums.h"

void midge_add_n_s8(int8_t *arena, const int8_t *constants, const midge_add_n_s8_params *p)
{
    const int32_t *x = &p->x0; /* x0, x1, ... follow each other */
    int8_t *y = arena + p->y;
    for (int32_t i = 0; i < p->count; i++) {
        int32_t total = p->x_offset * (p->terms + 1);
        for (int32_t term = 0; term < p->terms; term++)
            total += (((p->constant >> term) & 1) ? constants : arena)[x[term] + i];
        y[i] = midge_scaled_sum(total, p->multiplier, p->shift, p->y_offset);
    }
}
