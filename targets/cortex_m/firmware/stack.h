/* How deep the stack has grown. */
#ifndef MIDGE_STACK_H
#define MIDGE_STACK_H

#include <stdint.h>

/* Fill what is unused with a pattern. */
void stack_paint(void);

/* Bytes from `from` down to the deepest word that was overwritten since. */
uint32_t stack_used(uintptr_t from);

#endif
