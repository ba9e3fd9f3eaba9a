/* The first instructions after reset, and a trap handler that tells what happened. */
#include "startup.h"

#include "semihosting.h"

#define CONTROL_REGISTER(name)                                                                    \
    __extension__({                                                                               \
        uint32_t value;                                                                           \
        __asm__ volatile("csrr %0, " name : "=r"(value));                                         \
        value;                                                                                    \
    })

void midge_reset(void);

__attribute__((used)) static void begin(void)
{
    start_main();
}

/* ESP32-C3 takes traps at multiples of 256 only. */
__attribute__((aligned(256), noreturn)) static void trap(void)
{
    semihosting_say("fault\n");
    semihosting_say_hex("pc", CONTROL_REGISTER("mepc"));
    semihosting_say_hex("cause", CONTROL_REGISTER("mcause"));
    semihosting_say_hex("value", CONTROL_REGISTER("mtval"));
    semihosting_exit(FAULT_CODE);
}

/* The first section of the flash: the machine starts at its first byte. */
__attribute__((naked, section(".vectors"), used)) void midge_reset(void)
{
    __asm__ volatile(
        ".option push\n\t"
        ".option norelax\n\t"
        "la gp, midge_global_pointer\n\t"
        ".option pop\n\t"
        "la sp, midge_stack_top\n\t"
        "la t0, %0\n\t"
        "csrw mtvec, t0\n\t"
        "tail %1"
        :
        : "S"(trap), "S"(begin));
}
