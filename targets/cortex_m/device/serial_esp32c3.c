/* UART0 of the ESP32-C3 as the ROM leaves it: 115,200 baud (technical reference manual, 26.6). */
#include "device_config.h"
#include "registers.h"
#include "serial.h"

#define FIFO REGISTER(MIDGE_SERIAL_BASE)
#define STATUS REGISTER(MIDGE_SERIAL_BASE + 0x1Cu)

enum { RX_COUNT = 0x3FF, TX_COUNT_SHIFT = 16, TX_COUNT = 0x3FF, FIFO_BYTES = 128 };

void serial_start(void) {}

void serial_put(char character)
{
    while ((STATUS >> TX_COUNT_SHIFT & TX_COUNT) >= FIFO_BYTES - 1) {
    }
    FIFO = (unsigned char)character;
}

int serial_waiting(void) { return (STATUS & RX_COUNT) != 0; }

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)(FIFO & 0xFFu);
}
