/* What every core does between reset and main. */
#ifndef MIDGE_STARTUP_H
#define MIDGE_STARTUP_H

#include <stdint.h>

enum { FAULT_CODE = 99 };

/* Set up the memories, run main, and end the emulation with its answer. */
void start_main(void) __attribute__((noreturn));

#endif
