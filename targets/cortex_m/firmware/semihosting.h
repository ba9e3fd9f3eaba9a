/* Files and messages of the machine that debugs or emulates the board (Arm semihosting). */
#ifndef MIDGE_SEMIHOSTING_H
#define MIDGE_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

int semihosting_open_read(const char *name);
int semihosting_open_write(const char *name);
/* Both return 0, or -1 if not all bytes were moved. */
int semihosting_read(int file, void *data, size_t bytes);
int semihosting_write(int file, const void *data, size_t bytes);
void semihosting_close(int file);
void semihosting_say(const char *text);
void semihosting_say_hex(const char *name, uint32_t value);
void semihosting_exit(int code) __attribute__((noreturn));

#endif
