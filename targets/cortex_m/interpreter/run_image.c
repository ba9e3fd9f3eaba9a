/* Opens an image from a file and runs it once on what another file holds, or on zeros; the outputs'
 * bytes go to stdout. Returns the interpreter's status, or 100 if a file can't be read. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "midge_interpreter.h"

enum { MOST_IMAGE = 1 << 24, MOST_ARENA = 1 << 20, NO_FILE = 100 };

static uint8_t image_bytes[MOST_IMAGE] __attribute__((aligned(MIDGE_IMAGE_ALIGNMENT)));
static uint8_t arena[MOST_ARENA] __attribute__((aligned(MIDGE_IMAGE_ALIGNMENT)));

int main(int count, char **names)
{
    midge_image image;
    FILE *file = count > 1 ? fopen(names[1], "rb") : NULL;
    FILE *input = count > 2 ? fopen(names[2], "rb") : NULL;
    if (file == NULL)
        return NO_FILE;
    const size_t bytes = fread(image_bytes, 1, sizeof image_bytes, file);
    fclose(file);
    int status = midge_image_open(&image, image_bytes, bytes, sizeof arena);
    if (status == MIDGE_IMAGE_OK)
        status = midge_image_reset(&image, arena);
    if (status != MIDGE_IMAGE_OK)
        return status;
    for (uint32_t i = 0; i < image.inputs; i++) {
        void *to = midge_image_input(&image, arena, i);
        const size_t size = midge_image_input_bytes(&image, i);
        memset(to, 0, size);
        if (input != NULL && fread(to, 1, size, input) != size)
            return NO_FILE;
    }
    status = midge_image_run(&image, arena);
    for (uint32_t i = 0; status == MIDGE_IMAGE_OK && i < image.outputs; i++)
        fwrite(midge_image_output(&image, arena, i), 1, midge_image_output_bytes(&image, i), stdout);
    return status;
}
