/* The kernels of an interpreter, with what each may touch: midge_interpreter_kernels.c is printed. */
#ifndef MIDGE_INTERPRETER_KERNELS_H
#define MIDGE_INTERPRETER_KERNELS_H

#include "midge_interpreter.h"

typedef struct {
    uint32_t signature; /* of the kernel's name and the names of its words */
    uint32_t words;
    int (*check)(const midge_image *image, const int32_t *words);
    void (*run)(int8_t *arena, const int8_t *constants, const int32_t *words);
} midge_kernel;

extern const midge_kernel midge_kernels[];
extern const uint32_t midge_kernel_count;

#endif
