/* USART of STM32 F1, F2 and F4, with one data register (RM0368). */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define STATUS REGISTER(MIDGE_SERIAL_BASE + 0x00u)
#define DATA REGISTER(MIDGE_SERIAL_BASE + 0x04u)
#define DIVIDER REGISTER(MIDGE_SERIAL_BASE + 0x08u)
#define CONTROL REGISTER(MIDGE_SERIAL_BASE + 0x0Cu)

enum {
    RX_ENABLE = 1 << 2,
    TX_ENABLE = 1 << 3,
    RX_NOT_EMPTY = 1 << 5,
    TX_EMPTY = 1 << 7,
    UART_ENABLE = 1 << 13
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
    DATA = (uint8_t)character;
}

int serial_waiting(void) { return (STATUS & RX_NOT_EMPTY) != 0; }

/* Reading the status and then the data also clears an overrun. */
char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)DATA;
}
