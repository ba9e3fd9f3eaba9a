/* The hook that a model printed with its trace calls after each item of its program. */
#ifndef MIDGE_TRACE_H
#define MIDGE_TRACE_H

#include <stddef.h>

extern int trace_file;

/* Write a finished tensor. */
void midge_trace(const void *data, size_t bytes);

#endif
