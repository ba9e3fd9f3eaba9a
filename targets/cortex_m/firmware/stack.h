/* How deep the stack has grown. */
#ifndef MIDGE_STACK_H
#define MIDGE_STACK_H

#include <stdint.h>

/* Fill what is unused with a pattern. */
void stack_paint(void);

/* Bytes from `from` down to the deepest word that was overwritten since. */
uint32_t stack_used(uintptr_t from);

static inline uintptr_t stack_pointer(void)
{
    uintptr_t pointer;
#if defined(__riscv)
    __asm__ volatile("mv %0, sp" : "=r"(pointer));
#else
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
#endif
    return pointer;
}

#endif
