/* ESP32-C3's system timer, which counts at 16 MHz from reset on (technical reference manual, 10). */
#include "clock.h"
#include "device_config.h"
#include "registers.h"

#define UNIT0_OP REGISTER(0x60023004u)
#define UNIT0_HIGH REGISTER(0x60023040u)
#define UNIT0_LOW REGISTER(0x60023044u)

#define UPDATE (1u << 30)
#define VALID (1u << 29)

void clock_start(void) {}

uint32_t clock_us(void)
{
    UNIT0_OP = UPDATE;
    while (!(UNIT0_OP & VALID)) {
    }
    const uint64_t ticks = (uint64_t)UNIT0_HIGH << 32 | UNIT0_LOW;
    return (uint32_t)(ticks / (MIDGE_CLOCK_HZ / 1000000u));
}
