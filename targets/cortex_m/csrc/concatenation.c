/* Tensors one after the other along an axis (kernels/concatenation.py). */
#include "midge_copying.h"
#include "midge_kernels.h"

/* `count` bytes, through the 256 answers at `table` unless it is negative. */
static void place(int8_t *y, const int8_t *x, int32_t count, const int8_t *tables, int32_t table)
{
    if (table < 0) {
        midge_move(y, x, count);
        return;
    }
    const int8_t *answers = tables + table + 128;
    for (int32_t i = 0; i < count; i++)
        y[i] = answers[x[i]];
}

void midge_concatenation_rows(
    int8_t *arena, const int8_t *constants, const midge_concatenation_rows_params *p)
{
    const midge_int32 *chunks = midge_int32_at(constants, p->chunks);
    const midge_int32 *y_rows = midge_int32_at(constants, p->y);
    const midge_int32 *table = midge_int32_at(constants, p->tables);
    const int32_t *x = &p->x0; /* x0, x1, ... follow each other */
    for (int32_t row = 0; row < p->rows; row++) {
        int8_t *y = arena + y_rows[row];
        for (int32_t block = 0; block < p->blocks; block++)
            for (int32_t i = 0; i < p->count; i++) {
                const int32_t x_row = midge_int32_at(constants, x[i])[row];
                if (x_row < 0) /* this input has no such row */
                    continue;
                place(y, arena + x_row + block * chunks[i], chunks[i], constants + p->tables,
                      table[i]);
                y += chunks[i];
            }
    }
}

void midge_concatenation_flat(
    int8_t *arena, const int8_t *constants, const midge_concatenation_flat_params *p)
{
    const midge_int32 *chunks = midge_int32_at(constants, p->chunks);
    const midge_int32 *table = midge_int32_at(constants, p->tables);
    const int32_t *x = &p->x0; /* x0, x1, ... follow each other */
    int8_t *y = arena + p->y;
    for (int32_t block = 0; block < p->blocks; block++)
        for (int32_t i = 0; i < p->count; i++) {
            const int8_t *base = ((p->constant >> i) & 1) ? constants : arena;
            place(y, base + x[i] + block * chunks[i], chunks[i], constants + p->tables, table[i]);
            y += chunks[i];
        }
}
