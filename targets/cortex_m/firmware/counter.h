/* A clock that tells emulated instructions apart. One board, one implementation. */
#ifndef MIDGE_COUNTER_H
#define MIDGE_COUNTER_H

#include <stdint.h>

typedef int (*counted_function)(void *argument);

void counter_start(void);

/* Ticks since some time; wraps after 2**32. */
uint32_t counter_now(void);

/* One instruction, a return. */
int counter_nothing(void *argument);

/* The stack pointer that it was called with. */
int counter_entry(void *argument);

/* Ticks from before to after `function(argument)`, the call itself included. */
uint64_t counter_measure(counted_function function, void *argument, int *result);

#endif
