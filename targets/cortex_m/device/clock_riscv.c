/* The time that every RISC-V hart can read ("time" in the unprivileged specification). */
#include "clock.h"
#include "device_config.h"

void clock_start(void) {}

uint32_t clock_us(void)
{
    uint32_t high = 0, low = 0, again = 0;
    do {
        __asm__ volatile("rdtimeh %0\n\trdtime %1\n\trdtimeh %2" : "=r"(high), "=r"(low), "=r"(again));
    } while (high != again);
    const uint64_t ticks = (uint64_t)high << 32 | low;
    return (uint32_t)(ticks * 1000000u / MIDGE_CLOCK_HZ);
}
