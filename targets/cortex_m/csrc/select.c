/* Choices between two tensors (kernels/select.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

void midge_select(int8_t *arena, const int8_t *constants, const midge_select_params *p)
{
    const midge_int32 *size = midge_int32_at(constants, p->axes);
    const midge_int32 *of_condition = size + 5, *of_a = size + 10, *of_b = size + 15;
    const int8_t *condition = (p->condition_constant ? constants : arena) + p->condition;
    const int8_t *a = (p->a_constant ? constants : arena) + p->a;
    const int8_t *b = (p->b_constant ? constants : arena) + p->b;
    int8_t *y = arena + p->y;
    for (int32_t i = 0; i < size[0]; i++)
        for (int32_t j = 0; j < size[1]; j++)
            for (int32_t k = 0; k < size[2]; k++)
                for (int32_t m = 0; m < size[3]; m++)
                    for (int32_t n = 0; n < size[4]; n++) {
                        const int32_t at[] = {i, j, k, m, n};
                        int32_t c = 0, in_a = 0, in_b = 0;
                        for (int32_t axis = 0; axis < 5; axis++) {
                            c += at[axis] * of_condition[axis];
                            in_a += at[axis] * of_a[axis];
                            in_b += at[axis] * of_b[axis];
                        }
                        midge_move(y, condition[c] ? a + in_a * p->size : b + in_b * p->size,
                                   p->size);
                        y += p->size;
                    }
}
