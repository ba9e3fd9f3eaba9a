/* Memory set-up, and how deep the stack grows: the same on every core. */
#include "startup.h"

#include "semihosting.h"
#include "stack.h"

#define STACK_PAINT 0xA5A5A5A5u
#define PAINT_MARGIN 16 /* bytes below the painter's frame that it may still use */

extern uint32_t midge_data_load[], midge_data_begin[], midge_data_end[];
extern uint32_t midge_bss_begin[], midge_bss_end[];
extern uint32_t midge_stack_low[], midge_stack_top[];

int main(void);

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

void start_main(void)
{
    const uint32_t *from = midge_data_load;
    for (volatile uint32_t *to = midge_data_begin; to < midge_data_end; to++)
        *to = *from++;
    for (volatile uint32_t *to = midge_bss_begin; to < midge_bss_end; to++)
        *to = 0;
    semihosting_exit(main());
}
