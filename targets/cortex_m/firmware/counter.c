/* What a call costs, and where its stack begins. */
#include "counter.h"

__attribute__((naked)) int counter_nothing(void *argument)
{
    (void)argument;
#if defined(__riscv)
    __asm__ volatile("ret");
#else
    __asm__ volatile("bx lr");
#endif
}

__attribute__((naked)) int counter_entry(void *argument)
{
    (void)argument;
#if defined(__riscv)
    __asm__ volatile("mv a0, sp\n\tret");
#else
    __asm__ volatile("mov r0, sp\n\tbx lr");
#endif
}
