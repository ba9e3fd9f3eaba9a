/* Runs saved programs from flash or RAM: a model can be replaced without new firmware.
 *
 * `midge_image_open` believes nothing: magic, version, size, checksum and limits are checked, and every
 * word of every call, in every pass of its loop, against what its kernel touches. What it accepts
 * can't leave the arena and the image, as long as the image is not changed afterwards.
 */
#ifndef MIDGE_INTERPRETER_H
#define MIDGE_INTERPRETER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    MIDGE_IMAGE_VERSION = 1,
    MIDGE_IMAGE_ALIGNMENT = 16 /* of the image, and of the arena */
};

enum midge_image_status {
    MIDGE_IMAGE_OK = 0,
    MIDGE_IMAGE_UNALIGNED = 1,      /* image or arena is NULL, or not at a multiple of the alignment */
    MIDGE_IMAGE_FOREIGN = 2,        /* no image, or cut off */
    MIDGE_IMAGE_OTHER_VERSION = 3,
    MIDGE_IMAGE_DAMAGED = 4,        /* the checksum is wrong */
    MIDGE_IMAGE_ARENA_TOO_SMALL = 5,
    MIDGE_IMAGE_UNKNOWN_KERNEL = 6, /* this firmware has no such kernel, or another layout of it */
    MIDGE_IMAGE_UNSAFE = 7          /* a word would make a kernel leave its memory */
};

/* An image that was opened; its members are the interpreter's own. */
typedef struct {
    const uint8_t *start;
    const int8_t *constants;
    const int32_t *words;
    const uint32_t *kernels;
    const uint32_t *tensors;
    uint32_t constant_bytes;
    uint32_t arena_bytes;
    uint32_t word_count;
    uint32_t kernel_count;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t states;
} midge_image;

/* Check an image of at most `bytes` bytes for an arena of `arena_bytes`, and get it ready. */
int midge_image_open(midge_image *image, const void *start, size_t bytes, size_t arena_bytes);

/* Set the model's state to its initial values: once before the first run. */
int midge_image_reset(const midge_image *image, void *arena);

/* One inference: reads the inputs, which it may overwrite, and makes the outputs. */
int midge_image_run(const midge_image *image, void *arena);

/* Where an input is to be put and an output is found; NULL, and 0 bytes, if there is no such one. */
void *midge_image_input(const midge_image *image, void *arena, uint32_t index);
const void *midge_image_output(const midge_image *image, const void *arena, uint32_t index);
size_t midge_image_input_bytes(const midge_image *image, uint32_t index);
size_t midge_image_output_bytes(const midge_image *image, uint32_t index);

/* The SHA-256 of the model file, 32 bytes. */
const uint8_t *midge_image_model_sha256(const midge_image *image);

#ifdef __cplusplus
}
#endif

#endif
