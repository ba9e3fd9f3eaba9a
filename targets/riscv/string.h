/* The part of the C library that models and the harness call, for compilers without one. */
#ifndef MIDGE_STRING_H
#define MIDGE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *at, int value, size_t bytes);
size_t strlen(const char *text);

#endif
