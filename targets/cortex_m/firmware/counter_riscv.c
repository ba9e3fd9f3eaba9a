/* `minstret`, the number of instructions that a RISC-V core has completed. */
#include "counter.h"

void counter_start(void)
{
}

static uint64_t now(void)
{
    uint32_t high, low, again;
    do {
        __asm__ volatile("csrr %0, minstreth\n\tcsrr %1, minstret\n\tcsrr %2, minstreth"
                         : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

uint32_t counter_now(void) { return (uint32_t)now(); }

__attribute__((noinline)) uint64_t counter_measure(
    counted_function function, void *argument, int *result)
{
    const uint64_t begin = now();
    *result = function(argument);
    return now() - begin;
}
