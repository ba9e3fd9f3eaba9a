/* Time since the start. One kind of core, one implementation. */
#ifndef MIDGE_CLOCK_H
#define MIDGE_CLOCK_H

#include <stdint.h>

void clock_start(void);

/* Microseconds; wraps after 71 minutes. */
uint32_t clock_us(void);

#endif
