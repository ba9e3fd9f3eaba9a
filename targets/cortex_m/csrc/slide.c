/* A window over time moves on (kernels/slide.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

void midge_slide(int8_t *arena, const int8_t *constants, const midge_slide_params *p)
{
    int8_t *kept = arena + p->state + p->above_bytes;
    (void)constants;
    midge_move(kept, kept + p->by, p->kept);
    midge_move(kept + p->kept, arena + p->below, p->below_bytes);
    midge_move(arena + p->state, arena + p->above, p->above_bytes);
}
