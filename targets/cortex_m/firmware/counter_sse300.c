/* The system counter of the SSE-300 subsystem: 64 bits, 32 MHz on the MPS3 board AN547. */
#include "counter.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CONTROL REGISTER(0x58100000u)
#define COUNT_LOW REGISTER(0x58000000u)
#define COUNT_HIGH REGISTER(0x58000004u)

enum { ENABLE = 1 };

void counter_start(void)
{
    CONTROL = ENABLE;
}

static uint64_t now(void)
{
    uint32_t high, low;
    do {
        high = COUNT_HIGH;
        low = COUNT_LOW;
    } while (high != COUNT_HIGH);
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
