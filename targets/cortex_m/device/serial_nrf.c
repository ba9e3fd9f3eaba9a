/* The UART without DMA of nRF52 (nRF52840 product specification, chapter UART). */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define START_RX REGISTER(MIDGE_SERIAL_BASE + 0x000u)
#define START_TX REGISTER(MIDGE_SERIAL_BASE + 0x008u)
#define RX_READY REGISTER(MIDGE_SERIAL_BASE + 0x108u)
#define TX_READY REGISTER(MIDGE_SERIAL_BASE + 0x11Cu)
#define ENABLE REGISTER(MIDGE_SERIAL_BASE + 0x500u)
#define RECEIVED REGISTER(MIDGE_SERIAL_BASE + 0x518u)
#define TRANSMIT REGISTER(MIDGE_SERIAL_BASE + 0x51Cu)
#define BAUD REGISTER(MIDGE_SERIAL_BASE + 0x524u)

enum { UART_ENABLED = 4 };

void serial_start(void)
{
    BAUD = MIDGE_SERIAL_DIVIDER;
    ENABLE = UART_ENABLED;
    START_TX = 1;
    START_RX = 1;
}

void serial_put(char character)
{
    TX_READY = 0;
    TRANSMIT = (uint8_t)character;
    while (!TX_READY) {
    }
}

int serial_waiting(void) { return RX_READY != 0; }

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    RX_READY = 0;
    return (char)RECEIVED;
}
