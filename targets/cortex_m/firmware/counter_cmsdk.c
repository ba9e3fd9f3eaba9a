/* The timers of the Cortex-M System Design Kit, which count down at 25 MHz on the MPS2 boards.
 *
 * TIMER0 has 32 bits, which wrap after 2**32 ticks. The dual timer, prescaled by 256, wraps 256
 * times later and tells how often TIMER0 did.
 */
#include "counter.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define TIMER0_CONTROL REGISTER(0x40000000u)
#define TIMER0_VALUE REGISTER(0x40000004u)
#define TIMER0_RELOAD REGISTER(0x40000008u)
#define DUAL_LOAD REGISTER(0x40002000u)
#define DUAL_VALUE REGISTER(0x40002004u)
#define DUAL_CONTROL REGISTER(0x40002008u)

enum {
    TIMER0_ENABLE = 1,
    DUAL_ENABLE = 1 << 7,
    DUAL_PERIODIC = 1 << 6,
    DUAL_PRESCALE_256 = 2 << 2,
    DUAL_32_BITS = 1 << 1,
    PRESCALE_BITS = 8
};

void counter_start(void)
{
    TIMER0_CONTROL = 0;
    TIMER0_RELOAD = UINT32_MAX;
    TIMER0_VALUE = UINT32_MAX;
    TIMER0_CONTROL = TIMER0_ENABLE;
    DUAL_CONTROL = DUAL_32_BITS;
    DUAL_LOAD = UINT32_MAX;
    DUAL_CONTROL = DUAL_ENABLE | DUAL_PERIODIC | DUAL_PRESCALE_256 | DUAL_32_BITS;
}

uint32_t counter_now(void) { return UINT32_MAX - TIMER0_VALUE; }

__attribute__((noinline)) uint64_t counter_measure(
    counted_function function, void *argument, int *result)
{
    const uint32_t coarse_begin = DUAL_VALUE;
    const uint32_t begin = TIMER0_VALUE;
    const int answer = function(argument);
    const uint32_t ticks = begin - TIMER0_VALUE;
    const uint64_t coarse = (uint64_t)(uint32_t)(coarse_begin - DUAL_VALUE) << PRESCALE_BITS;
    /* `coarse` is right to less than 2**31 ticks, so the nearest number that ends in `ticks` is. */
    const uint64_t wraps = (coarse - ticks + ((uint64_t)1 << 31)) >> 32;
    *result = answer;
    return (wraps << 32) + ticks;
}
