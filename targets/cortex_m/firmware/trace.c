/* Finished tensors go to the output file, in the order of the program. */
#include "trace.h"

#include "semihosting.h"

void midge_trace(const void *data, size_t bytes)
{
    if (semihosting_write(trace_file, data, bytes) != 0)
        semihosting_exit(10);
}
