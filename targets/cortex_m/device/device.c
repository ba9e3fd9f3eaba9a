/* The main program of a board on a cable: set the board up, then answer the serial port. */
#include "clock.h"
#include "device_config.h"
#include "mlperf.h"
#include "model_io.h"
#include "registers.h"
#include "semihosting.h"
#include "serial.h"

static uint8_t sent[MIDGE_SENT_BYTES];

/* The steps of `setup` in the board's file, in their order. */
static void set_up(void)
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

int main(void)
{
    set_up();
    serial_start();
    clock_start();
    if (model_start() != 0) {
        semihosting_say("e-[The model does not start]\n");
        return 1;
    }
    mlperf_start(sent, sizeof sent);
    for (;;)
        mlperf_take(serial_get());
}
