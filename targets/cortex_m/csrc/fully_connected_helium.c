/* Fully connected layers, eight units at a time. */
#include <string.h>

#include "midge_helium.h"
#include "midge_kernels.h"

enum { UNITS = 8 };

void midge_fully_connected_helium_s8(
    int8_t *arena, const int8_t *constants, const midge_fully_connected_helium_s8_params *p)
{
    const int32_t room = p->steps * MIDGE_STEP;
    const int32_t whole = p->units / UNITS, left = p->units % UNITS;
    const int8_t *x = arena + p->x;
    midge_helium_job job = {
        .more_steps = p->steps - 1, .zero = p->output_zero, .least = p->least,
        .greatest = p->greatest};
    midge_helium_places(&job, MIDGE_CHANNELS);
    for (int32_t batch = 0; batch < p->batches; batch++, x += p->depth) {
        int8_t *const y = arena + p->y + batch * p->units;
        job.x = x;
        if (room > p->depth) { /* the last step would read what lies behind x */
            job.x = memcpy(arena + p->padded, x, (size_t)p->depth);
            memset(arena + p->padded + p->depth, 0, (size_t)(room - p->depth));
        }
        if (whole > 0) {
            job.blocks = constants + p->weights;
            job.block_count = whole;
            job.y = y;
            job.mask = 0xFFFFu;
            midge_helium_units(&job);
        }
        if (left > 0) {
            job.blocks = constants + p->weights + whole * (96 + UNITS * room);
            job.block_count = 1;
            job.y = y + whole * UNITS;
            job.mask = 0;
            for (int32_t i = 0; i < UNITS; i++)
                if (job.places[i] < left)
                    job.mask |= 3u << (2 * i);
            midge_helium_units(&job);
        }
    }
}
