/* Vector table, memory set-up and a fault handler that tells what happened. */
#include <stdint.h>

#include "semihosting.h"
#include "stack.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CPACR REGISTER(0xE000ED88u) /* coprocessor access */
#define CFSR REGISTER(0xE000ED28u)  /* configurable fault status */
#define HFSR REGISTER(0xE000ED2Cu)  /* hard fault status */
#define BFAR REGISTER(0xE000ED38u)  /* address of a bus fault */

#define FAULT_CODE 99
#define STACK_PAINT 0xA5A5A5A5u
#define PAINT_MARGIN 16 /* bytes below the painter's frame that it may still use */

extern uint32_t midge_data_load[], midge_data_begin[], midge_data_end[];
extern uint32_t midge_bss_begin[], midge_bss_end[];
extern uint32_t midge_stack_low[], midge_stack_top[];

int main(void);
void midge_reset(void);
void midge_report_fault(const uint32_t *frame);

void stack_paint(void)
{
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0) - PAINT_MARGIN;
    for (volatile uint32_t *word = midge_stack_low; (uintptr_t)word < here; word++)
        *word = STACK_PAINT;
}

uint32_t stack_used(uintptr_t from)
{
    const volatile uint32_t *word = midge_stack_low;
    while (word < midge_stack_top && *word == STACK_PAINT)
        word++;
    return (uint32_t)(from - (uintptr_t)word);
}

void midge_reset(void)
{
    CPACR |= 0xFu << 20; /* the FPU is off after reset; harmless on a core without one */
    __asm__ volatile("dsb\n\tisb");
    const uint32_t *from = midge_data_load;
    for (volatile uint32_t *to = midge_data_begin; to < midge_data_end; to++)
        *to = *from++;
    for (volatile uint32_t *to = midge_bss_begin; to < midge_bss_end; to++)
        *to = 0;
    semihosting_exit(main());
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
    __asm__ volatile("mov r0, sp\n\tb midge_report_fault");
}

typedef void (*handler)(void);

/* The first word is the stack pointer, the others are handlers of exceptions 1 to 15. */
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)(uintptr_t)midge_stack_top,
    midge_reset,
    fault, fault, fault, fault, fault, fault,
    0, 0, 0,
    fault, fault,
    0,
    fault, fault,
};
