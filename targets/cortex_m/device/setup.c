/* The writes of a board's file, in their order. */
#include "setup.h"

#include "device_config.h"
#include "registers.h"

/* The steps of `setup` in the board's file, in their order. */
void board_set_up(void)
{
    static const struct {
        enum { SET, CLEAR, WRITE, WAIT, END } what;
        uint32_t address;
        uint32_t bits;
    } steps[] = {MIDGE_SETUP_STEPS{END, 0, 0}};
    for (int i = 0; steps[i].what != END; i++) {
        volatile uint32_t *const place = &REGISTER(steps[i].address);
        const uint32_t bits = steps[i].bits;
        const int what = steps[i].what;
        if (what == SET)
            *place |= bits;
        else if (what == CLEAR)
            *place &= ~bits;
        else if (what == WRITE)
            *place = bits;
        else
            while (!(*place & bits)) {
            }
        (void)*place; /* a clock that was just switched on takes that long to arrive */
    }
}
