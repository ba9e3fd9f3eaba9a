/* The main program of a board on a cable: set the board up, then answer the serial port. */
#include "clock.h"
#include "device_config.h"
#include "mlperf.h"
#include "model_io.h"
#include "semihosting.h"
#include "serial.h"
#include "setup.h"

static uint8_t sent[MIDGE_SENT_BYTES];

int main(void)
{
    board_set_up();
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
