/* What the start-up has to say goes to the serial port: there is no debugger to take it. */
#include "semihosting.h"

#include "serial.h"

void semihosting_say(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            serial_put('\r');
        serial_put(*text);
    }
}

void semihosting_say_hex(const char *name, uint32_t value)
{
    semihosting_say(name);
    serial_put('=');
    for (int shift = 28; shift >= 0; shift -= 4)
        serial_put("0123456789abcdef"[value >> shift & 15]);
    semihosting_say("\n");
}

void semihosting_exit(int code)
{
    (void)code;
    for (;;) {
    }
}
