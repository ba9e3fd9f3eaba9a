/* MLPerf Tiny's serial protocol. */
#ifndef MIDGE_MLPERF_H
#define MIDGE_MLPERF_H

#include <stddef.h>
#include <stdint.h>

/* Say that the device is ready. `sent` has room for an input as the host sends it. */
void mlperf_start(uint8_t *sent, size_t bytes);

/* Take one character from the host; a whole command is obeyed and answered at once. */
void mlperf_take(char character);

#endif
