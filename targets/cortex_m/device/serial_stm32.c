/* USART and LPUART of STM32 F0, F3, F7, G, H7, L4, L5, U5, with separate data registers
 * (RM0351, RM0385, RM0432, RM0433). */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define CONTROL REGISTER(MIDGE_SERIAL_BASE + 0x00u)
#define DIVIDER REGISTER(MIDGE_SERIAL_BASE + 0x0Cu)
#define STATUS REGISTER(MIDGE_SERIAL_BASE + 0x1Cu)
#define CLEAR REGISTER(MIDGE_SERIAL_BASE + 0x20u)
#define RECEIVED REGISTER(MIDGE_SERIAL_BASE + 0x24u)
#define TRANSMIT REGISTER(MIDGE_SERIAL_BASE + 0x28u)

enum {
    UART_ENABLE = 1 << 0,
    RX_ENABLE = 1 << 2,
    TX_ENABLE = 1 << 3,
    RX_ERRORS = 0xF, /* parity, framing, noise, overrun */
    RX_NOT_EMPTY = 1 << 5,
    TX_EMPTY = 1 << 7
};

void serial_start(void)
{
    DIVIDER = MIDGE_SERIAL_DIVIDER;
    CONTROL = UART_ENABLE | RX_ENABLE | TX_ENABLE;
}

void serial_put(char character)
{
    while (!(STATUS & TX_EMPTY)) {
    }
    TRANSMIT = (uint8_t)character;
}

int serial_waiting(void)
{
    CLEAR = RX_ERRORS; /* an overrun would stop reception for good */
    return (STATUS & RX_NOT_EMPTY) != 0;
}

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)RECEIVED;
}
