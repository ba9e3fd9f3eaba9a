/* Proves the counter: loops whose number of instructions is known. */
#include "counter.h"
#include "semihosting.h"

static const uint32_t passes[] = {1, 2, 3, 1000, 1000000, 10000000, 1000000000};

/* 2 instructions a pass, and one return. */
__attribute__((naked)) static int loop(void *argument)
{
    (void)argument;
    __asm__ volatile("1: subs r0, #1\n\tbne 1b\n\tbx lr");
}

__attribute__((naked)) static int nothing(void *argument)
{
    (void)argument;
    __asm__ volatile("bx lr");
}

int main(void)
{
    const int file = semihosting_open_write("output.bin");
    counter_start();
    for (unsigned i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        int result;
        const uint64_t call = counter_measure(nothing, (void *)0, &result);
        const uint64_t all = counter_measure(loop, (void *)(uintptr_t)passes[i], &result);
        const uint64_t record[3] = {passes[i], all, call};
        if (semihosting_write(file, record, sizeof record) != 0)
            return 1;
    }
    semihosting_close(file);
    return 0;
}
