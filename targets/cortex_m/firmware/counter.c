/* What a call costs. */
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
