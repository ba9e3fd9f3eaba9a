/* What calls have written goes to the output file, in the order of the calls. */
#include "trace.h"

#include "semihosting.h"

void midge_trace_rows(const int8_t *arena, const int32_t *rows, int count, size_t bytes)
{
    for (int row = 0; row < count; row++)
        midge_trace(arena + rows[row], bytes);
}

void midge_trace(const void *data, size_t bytes)
{
    if (semihosting_write(trace_file, data, bytes) != 0)
        semihosting_exit(10);
}
