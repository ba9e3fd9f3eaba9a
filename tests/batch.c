/* Runs many models one after the other; batch_models.h is printed and lists them. */
#include "batch.h"

#include <stddef.h>
#include <stdint.h>

struct model {
    const char *name;
    int inputs, outputs, inferences;
    size_t arena_bytes;
    int (*init)(void *arena, size_t arena_bytes);
    int (*run)(void *arena);
    void *(*input)(void *arena, int index);
    const void *(*output)(const void *arena, int index);
    size_t (*input_bytes)(int index);
    size_t (*output_bytes)(int index);
};

#include "batch_models.h"

#if defined(__linux__)
/* Each arena is a block of its own, so that a sanitizer sees a step over its end. */
static void *take_arena(size_t bytes) { return aligned_alloc(16, (bytes + 15) / 16 * 16); }
static void give_back(void *arena) { free(arena); }
#else
static uint8_t room[ARENA_BYTES] __attribute__((section(".arena"), aligned(16)));
static void *take_arena(size_t bytes) { return bytes <= sizeof room ? room : NULL; }
static void give_back(void *arena) { (void)arena; }
#endif

static int infer(const struct model *model, void *arena, batch_file input, batch_file output)
{
    for (int i = 0; i < model->inputs; i++)
        if (read_all(input, model->input(arena, i), model->input_bytes(i)) != 0)
            return -1;
    if (model->run(arena) != 0)
        return -1;
    for (int i = 0; i < model->outputs; i++)
        if (write_all(output, model->output(arena, i), model->output_bytes(i)) != 0)
            return -1;
    return 0;
}

static int run_model(const struct model *model, batch_file input, batch_file output)
{
    void *const arena = take_arena(model->arena_bytes);
    int status = model->init(arena, model->arena_bytes);
    for (int i = 0; i < model->inferences && status == 0; i++)
        status = infer(model, arena, input, output);
    give_back(arena);
    return status;
}

int main(void)
{
    const batch_file input = open_input();
    const batch_file output = open_output();
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        say(models[i].name); /* the last name that it says is the one that failed */
        say("\n");
        if (run_model(&models[i], input, output) != 0)
            return 1;
    }
    close_file(output);
    return 0;
}
