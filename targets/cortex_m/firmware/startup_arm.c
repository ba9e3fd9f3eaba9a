/* Vector table, the core's switches, and a fault handler that tells what happened. */
#include "startup.h"

#include "semihosting.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define VTOR REGISTER(0xE000ED08u)  /* where the vectors are */
#define CPACR REGISTER(0xE000ED88u) /* coprocessor access */
#define CCR REGISTER(0xE000ED14u)   /* configuration and control */
#define CFSR REGISTER(0xE000ED28u)  /* configurable fault status */
#define HFSR REGISTER(0xE000ED2Cu)  /* hard fault status */
#define BFAR REGISTER(0xE000ED38u)  /* address of a bus fault */

#define CCR_LOW_OVERHEAD_LOOPS (1u << 19)

extern uint32_t midge_stack_top[];

void midge_reset(void);
void midge_report_fault(const uint32_t *frame);

typedef void (*handler)(void);

static const handler vectors[16];

void midge_reset(void)
{
    VTOR = (uint32_t)(uintptr_t)vectors; /* a boot loader has its own */
    CPACR |= 0xFu << 20; /* FPU and Helium are off after reset; harmless on a core without them */
#if defined(__ARM_FEATURE_MVE)
    CCR |= CCR_LOW_OVERHEAD_LOOPS;
#endif
    __asm__ volatile("dsb\n\tisb");
    start_main();
}

/* `frame` is what the core pushed: r0-r3, r12, lr, pc, xpsr. */
__attribute__((used)) void midge_report_fault(const uint32_t *frame)
{
    semihosting_say("fault\n");
    semihosting_say_hex("pc", frame[6]);
    semihosting_say_hex("lr", frame[5]);
    semihosting_say_hex("cfsr", CFSR);
    semihosting_say_hex("hfsr", HFSR);
    semihosting_say_hex("bfar", BFAR);
    semihosting_exit(FAULT_CODE);
}

__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mov r0, sp\n\tbl midge_report_fault");
}

/* A clock has its own. */
__attribute__((weak, alias("fault"))) void midge_tick(void);

/* The first word is the stack pointer, the others are handlers of exceptions 1 to 15. */
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)midge_stack_top,
    midge_reset,
    fault, fault, fault, fault, fault, fault,
    0, 0, 0,
    fault, fault,
    0,
    fault, midge_tick,
};
