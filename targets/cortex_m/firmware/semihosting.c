/* "Semihosting for AArch32 and AArch64", Arm 2.0: operation numbers, BKPT 0xAB on M profile; "RISC-V
 * Semihosting" 0.4: the same operations, and three instructions that may not be compressed nor lie
 * on two pages. */
#include "semihosting.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026,
    MODE_READ_BINARY = 1,
    MODE_WRITE_BINARY = 5
};

#if defined(__riscv)
__attribute__((naked, noinline, aligned(16))) static int32_t host_call(
    int operation, const void *argument)
{
    (void)operation;
    (void)argument;
    __asm__ volatile(
        ".option push\n\t"
        ".option norvc\n\t"
        "slli x0, x0, 0x1f\n\t"
        "ebreak\n\t"
        "srai x0, x0, 7\n\t"
        "ret\n\t"
        ".option pop");
}
#else
static int32_t host_call(int operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
#endif

static int open_file(const char *name, uint32_t mode)
{
    const uintptr_t block[3] = {(uintptr_t)name, mode, strlen(name)};
    return host_call(SYS_OPEN, block);
}

int semihosting_open_read(const char *name) { return open_file(name, MODE_READ_BINARY); }

int semihosting_open_write(const char *name) { return open_file(name, MODE_WRITE_BINARY); }

/* SYS_READ and SYS_WRITE return the number of bytes that were not moved. */
int semihosting_read(int file, void *data, size_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
    return bytes == 0 || host_call(SYS_READ, block) == 0 ? 0 : -1;
}

int semihosting_write(int file, const void *data, size_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};
    return bytes == 0 || host_call(SYS_WRITE, block) == 0 ? 0 : -1;
}

void semihosting_close(int file)
{
    const uintptr_t block[1] = {(uintptr_t)file};
    host_call(SYS_CLOSE, block);
}

void semihosting_say(const char *text) { host_call(SYS_WRITE0, text); }

void semihosting_say_hex(const char *name, uint32_t value)
{
    char digits[12];
    digits[0] = '=';
    for (int i = 0; i < 8; i++)
        digits[1 + i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
    digits[9] = '\n';
    digits[10] = '\0';
    semihosting_say(name);
    semihosting_say(digits);
}

void semihosting_exit(int code)
{
    const uintptr_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uintptr_t)code};
    for (;;)
        host_call(SYS_EXIT_EXTENDED, block);
}
