/* SysTick, which every Cortex-M here has: 24 bits at the core's clock, and an interrupt when they
 * wrap. */
#include "clock.h"
#include "device_config.h"
#include "registers.h"

#define CONTROL REGISTER(0xE000E010u)
#define RELOAD REGISTER(0xE000E014u)
#define VALUE REGISTER(0xE000E018u)

enum { ENABLE = 1, INTERRUPT = 2, CORE_CLOCK = 4, LAST = 0xFFFFFF };

static volatile uint32_t wraps;
static uint64_t last; /* ticks; time never goes back */

void midge_tick(void);

/* The handler of exception 15 in the start-up's vectors. */
void midge_tick(void) { wraps++; }

void clock_start(void)
{
    RELOAD = LAST;
    VALUE = 0;
    CONTROL = ENABLE | INTERRUPT | CORE_CLOCK;
}

uint32_t clock_us(void)
{
    uint32_t before, value;
    do { /* again if it wrapped in between */
        before = wraps;
        value = VALUE;
    } while (before != wraps);
    uint64_t ticks = ((uint64_t)before << 24) + (LAST - value);
    if (ticks < last) /* it has wrapped, and the interrupt is still to come */
        ticks += LAST + 1;
    last = ticks;
    return (uint32_t)(ticks * 1000000u / MIDGE_CLOCK_HZ);
}
