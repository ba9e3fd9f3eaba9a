/* Proves the counter: loops whose number of instructions is known. */
#include "counter.h"
#include "semihosting.h"

static const uint32_t passes[] = {1, 2, 3, 1000, 1000000, 10000000, 1000000000};

/* 2 instructions a pass, and one return. */
__attribute__((naked)) static int loop(void *argument)
{
    (void)argument;
#if defined(__riscv)
    __asm__ volatile("1: addi a0, a0, -1\n\tbnez a0, 1b\n\tret");
#else
    __asm__ volatile(".syntax unified\n1: subs r0, #1\n\tbne 1b\n\tbx lr");
#endif
}

int main(void)
{
    const int file = semihosting_open_write("output.bin");
    counter_start();
    for (unsigned i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        int result;
        const uint64_t call = counter_measure(counter_nothing, (void *)0, &result);
        const uint64_t all = counter_measure(loop, (void *)(uintptr_t)passes[i], &result);
        const uint64_t record[3] = {passes[i], all, call};
        if (semihosting_write(file, record, sizeof record) != 0)
            return 1;
    }
    semihosting_close(file);
    return 0;
}
