/* Runs the model on inputs from a file, and writes what came out and what it cost.
 *
 * input.bin: struct request, all memories if `load_arena`, then all inputs of each inference.
 * output.bin: for each inference what the trace wrote, struct answer and all outputs; then all
 * memories if `save_arena`. Reading and writing are outside the counted region.
 */
#include <stddef.h>

#include "counter.h"
#include "model_under_test.h"
#ifdef MIDGE_PROFILE_CALLS
#include "profile.h"
#endif
#include "semihosting.h"
#include "stack.h"
#include "trace.h"

enum { FILE_ERROR = 10, GUARD_ERROR = 11, MODEL_ERROR = 20, GUARD_BYTES = 32 };

struct request {
    uint32_t inferences;
    uint32_t load_arena;
    uint32_t save_arena;
};

struct answer {
    uint64_t ticks;      /* of a call of the model */
    uint32_t call_ticks; /* of a call of a function that does nothing */
    uint32_t stack_bytes; /* that the model has used */
};

/* Each memory of the model between guards, which the linker puts next to it. All hold a pattern that
 * no right answer depends on, and that is still in the guards after each inference. */
#define DEFINE(number, symbol, size, place)                                                       \
    static uint8_t before_##number[GUARD_BYTES] __attribute__((section(place ".before")));        \
    int8_t symbol[size] __attribute__((section(place), aligned(MIDGE_MODEL_ARENA_ALIGNMENT)));    \
    static uint8_t after_##number[GUARD_BYTES] __attribute__((section(place ".after")));
MIDGE_EACH_MEMORY(DEFINE)

#define LIST(number, symbol, size, place)                                                         \
    {before_##number, (uint8_t *)symbol, size, after_##number},
static const struct memory {
    uint8_t *before;
    uint8_t *inside;
    size_t bytes;
    uint8_t *after;
} memories[] = {MIDGE_EACH_MEMORY(LIST)};

enum { MEMORIES = sizeof memories / sizeof *memories };

#define arena MIDGE_MODEL_ARENA

int trace_file;

#ifdef MIDGE_MODEL_INPUT_ROWS
/* The input comes by row: all rows wait outside the arena. */
static uint8_t rows[MIDGE_MODEL_INPUT_ROWS * MIDGE_MODEL_ROW_BYTES];

static int read_inputs(int input)
{
    return semihosting_read(input, rows, sizeof rows);
}

static int run(void *model)
{
    int status = MIDGE_MODEL_OK;
    for (int pass = 0; pass < MIDGE_MODEL_INPUT_PASSES && status == MIDGE_MODEL_OK; pass++)
        status = midge_model_push_rows(model, rows, MIDGE_MODEL_INPUT_ROWS);
    return status;
}
#else
static int read_inputs(int input)
{
    for (int i = 0; i < MIDGE_MODEL_INPUTS; i++)
        if (semihosting_read(input, midge_model_input(arena, i), midge_model_input_bytes(i)) != 0)
            return FILE_ERROR;
    return 0;
}

#define run midge_model_run
#endif

static uint8_t pattern(size_t at)
{
    return (uint8_t)((at * 0x9D) ^ 0xA5);
}

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = pattern(i);
}

static void poison(void)
{
    for (const struct memory *m = memories; m < memories + MEMORIES; m++) {
        fill(m->before, GUARD_BYTES);
        fill(m->inside, m->bytes);
        fill(m->after, GUARD_BYTES);
    }
}

static int guards_are_whole(void)
{
    for (const struct memory *m = memories; m < memories + MEMORIES; m++)
        for (size_t i = 0; i < GUARD_BYTES; i++)
            if (m->before[i] != pattern(i) || m->after[i] != pattern(i))
                return 0;
    return 1;
}

static int load_memories(int input)
{
    for (const struct memory *m = memories; m < memories + MEMORIES; m++)
        if (semihosting_read(input, m->inside, m->bytes) != 0)
            return FILE_ERROR;
    return 0;
}

static int save_memories(int output)
{
    for (const struct memory *m = memories; m < memories + MEMORIES; m++)
        if (semihosting_write(output, m->inside, m->bytes) != 0)
            return FILE_ERROR;
    return 0;
}

static int infer(int input, int output)
{
    if (read_inputs(input) != 0)
        return FILE_ERROR;
    struct answer answer = {0, 0, 0};
    int status;
    int entry;
    answer.call_ticks = (uint32_t)counter_measure(counter_nothing, arena, &status);
    counter_measure(counter_entry, arena, &entry);
    stack_paint();
    answer.ticks = counter_measure(run, arena, &status);
    answer.stack_bytes = stack_used((uintptr_t)(uint32_t)entry);
    if (status != MIDGE_MODEL_OK)
        return MODEL_ERROR + status;
    if (!guards_are_whole())
        return GUARD_ERROR;
    if (semihosting_write(output, &answer, sizeof answer) != 0)
        return FILE_ERROR;
    for (int i = 0; i < MIDGE_MODEL_OUTPUTS; i++)
        if (semihosting_write(
                output, midge_model_output(arena, i), midge_model_output_bytes(i)) != 0)
            return FILE_ERROR;
    return 0;
}

static int serve(int input, int output)
{
    struct request request;
    if (semihosting_read(input, &request, sizeof request) != 0)
        return FILE_ERROR;
    poison();
    if (request.load_arena) {
        if (load_memories(input) != 0)
            return FILE_ERROR;
    } else {
        const int status = midge_model_init(arena, MIDGE_MODEL_ARENA_BYTES);
        if (status != MIDGE_MODEL_OK)
            return MODEL_ERROR + status;
    }
    counter_start();
    for (uint32_t i = 0; i < request.inferences; i++) {
        const int failure = infer(input, output);
        if (failure != 0)
            return failure;
    }
#ifdef MIDGE_PROFILE_CALLS
    if (midge_profile_write(output) != 0)
        return FILE_ERROR;
#endif
    return request.save_arena ? save_memories(output) : 0;
}

int main(void)
{
    const int input = semihosting_open_read("input.bin");
    const int output = semihosting_open_write("output.bin");
    trace_file = output;
    const int failure = serve(input, output);
    if (failure == FILE_ERROR)
        semihosting_say("input.bin is too short, or output.bin can't be written\n");
    else if (failure == GUARD_ERROR)
        semihosting_say("the model wrote outside its arena\n");
    else if (failure != 0)
        semihosting_say("the model returned an error\n");
    semihosting_close(output);
    return failure;
}
