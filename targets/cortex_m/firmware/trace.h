/* The hooks that a model printed with its trace calls after each call. */
#ifndef MIDGE_TRACE_H
#define MIDGE_TRACE_H

#include <stddef.h>
#include <stdint.h>

extern int trace_file;

/* Write a whole tensor, or the rows that a table names. */
void midge_trace(const void *data, size_t bytes);
void midge_trace_rows(const int8_t *arena, const int32_t *rows, int count, size_t bytes);

#endif
