/* The UART of the Cortex-M System Design Kit (Arm DDI 0479), on the MPS2 and MPS3 boards. */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define DATA REGISTER(MIDGE_SERIAL_BASE + 0x00u)
#define STATE REGISTER(MIDGE_SERIAL_BASE + 0x04u)
#define CONTROL REGISTER(MIDGE_SERIAL_BASE + 0x08u)
#define DIVIDER REGISTER(MIDGE_SERIAL_BASE + 0x10u)

enum { TX_FULL = 1, RX_FULL = 2, TX_ENABLE = 1, RX_ENABLE = 2 };

void serial_start(void)
{
    DIVIDER = MIDGE_SERIAL_DIVIDER;
    CONTROL = TX_ENABLE | RX_ENABLE;
}

void serial_put(char character)
{
    while (STATE & TX_FULL) {
    }
    DATA = (uint8_t)character;
}

int serial_waiting(void) { return (STATE & RX_FULL) != 0; }

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)DATA;
}
