/* Arm's PrimeCell UART PL011 (DDI 0183) of RP2040 and RP2350. The divider counts in 64ths. */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define DATA REGISTER(MIDGE_SERIAL_BASE + 0x00u)
#define FLAGS REGISTER(MIDGE_SERIAL_BASE + 0x18u)
#define DIVIDER_WHOLE REGISTER(MIDGE_SERIAL_BASE + 0x24u)
#define DIVIDER_FRACTION REGISTER(MIDGE_SERIAL_BASE + 0x28u)
#define LINE REGISTER(MIDGE_SERIAL_BASE + 0x2Cu)
#define CONTROL REGISTER(MIDGE_SERIAL_BASE + 0x30u)

enum {
    RX_EMPTY = 1 << 4,
    TX_FULL = 1 << 5,
    FIFOS = 1 << 4,
    EIGHT_BITS = 3 << 5,
    UART_ENABLE = 1 << 0,
    TX_ENABLE = 1 << 8,
    RX_ENABLE = 1 << 9
};

void serial_start(void)
{
    DIVIDER_WHOLE = MIDGE_SERIAL_DIVIDER / 64u;
    DIVIDER_FRACTION = MIDGE_SERIAL_DIVIDER % 64u;
    LINE = FIFOS | EIGHT_BITS; /* takes the dividers over */
    CONTROL = UART_ENABLE | TX_ENABLE | RX_ENABLE;
}

void serial_put(char character)
{
    while (FLAGS & TX_FULL) {
    }
    DATA = (uint8_t)character;
}

int serial_waiting(void) { return (FLAGS & RX_EMPTY) == 0; }

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)DATA;
}
