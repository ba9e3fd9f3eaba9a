/* The 16550 with byte registers that QEMU's RISC-V `virt` machine has; its speed is of no effect. */
#include "device_config.h"
#include "serial.h"

#define BYTE_REGISTER(offset) (*(volatile unsigned char *)(MIDGE_SERIAL_BASE + (offset)))
#define DATA BYTE_REGISTER(0u)
#define LINE_STATUS BYTE_REGISTER(5u)

enum { RX_READY = 1 << 0, TX_EMPTY = 1 << 5 };

void serial_start(void) {}

void serial_put(char character)
{
    while (!(LINE_STATUS & TX_EMPTY)) {
    }
    DATA = (unsigned char)character;
}

int serial_waiting(void) { return (LINE_STATUS & RX_READY) != 0; }

char serial_get(void)
{
    while (!serial_waiting()) {
    }
    return (char)DATA;
}
