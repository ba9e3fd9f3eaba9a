/* The files of a batch: of the emulator on a board, of the system on Linux. */
#ifndef MIDGE_BATCH_H
#define MIDGE_BATCH_H

#if defined(__linux__)
#include <stdio.h>
#include <stdlib.h>

typedef FILE *batch_file;
#define open_input() fopen("input.bin", "rb")
#define open_output() fopen("output.bin", "wb")
#define read_all(file, data, bytes) (fread(data, 1, bytes, file) == (bytes) ? 0 : -1)
#define write_all(file, data, bytes) (fwrite(data, 1, bytes, file) == (bytes) ? 0 : -1)
#define close_file(file) fclose(file)
#define say(text) fputs(text, stderr)
#else
#include "semihosting.h"

typedef int batch_file;
#define open_input() semihosting_open_read("input.bin")
#define open_output() semihosting_open_write("output.bin")
#define read_all semihosting_read
#define write_all semihosting_write
#define close_file semihosting_close
#define say semihosting_say
#endif

#endif
