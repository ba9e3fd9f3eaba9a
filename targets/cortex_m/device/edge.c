/* The main program of a board that runs the head of a cut model and asks a gateway for the rest.
 *
 * Inputs come over the same line, as they would from a sensor. The answer, or a status that says why
 * there is none, ends each run. */
#include "clock.h"
#include "device_config.h"
#include "model_under_test.h"
#include "semihosting.h"
#include "serial.h"
#include "setup.h"
#include "uplink.h"

#include <string.h>

#define DEFINE(number, symbol, size, place)                                                       \
    int8_t symbol[size] __attribute__((section(place), aligned(MIDGE_MODEL_ARENA_ALIGNMENT)));
MIDGE_EACH_MEMORY(DEFINE)

#define arena MIDGE_MODEL_ARENA

static uint8_t answer[MIDGE_ANSWER_BYTES];

static void put_word(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(word >> 8 * i);
}

/* Which model, and how many bytes of input, cut and answer. */
static int say_who(void)
{
    uint8_t about[12 + sizeof MIDGE_MODEL_SHA256 - 1];
    uint32_t input = 0;
    for (int i = 0; i < MIDGE_MODEL_INPUTS; i++)
        input += (uint32_t)midge_model_input_bytes(i);
    put_word(about, input);
    put_word(about + 4, MIDGE_CUT_BYTES);
    put_word(about + 8, MIDGE_ANSWER_BYTES);
    memcpy(about + 12, MIDGE_MODEL_SHA256, sizeof MIDGE_MODEL_SHA256 - 1);
    return uplink_send(UPLINK_HELLO, 0, about, sizeof about);
}

/* Bytes of the inputs, one tensor after the other. */
static void take_input(const struct uplink_frame *frame)
{
    size_t begin = 0;
    for (int i = 0; i < MIDGE_MODEL_INPUTS; i++) {
        const size_t bytes = midge_model_input_bytes(i);
        for (size_t at = 0; at < frame->bytes; at++) {
            const size_t place = frame->offset + at;
            if (place >= begin && place < begin + bytes)
                ((uint8_t *)midge_model_input(arena, i))[place - begin] = frame->data[at];
        }
        begin += bytes;
    }
}

/* Run the head and have the rest run; how that ended. */
static int infer(void)
{
    if (midge_model_run(arena) != MIDGE_MODEL_OK)
        return UPLINK_CONFUSED;
    uint32_t offset = 0;
    for (int i = 0; i < MIDGE_CUT_TENSORS; i++) {
        const size_t bytes = midge_model_output_bytes(i);
        const int status =
            uplink_send_all(UPLINK_CUT, offset, midge_model_output(arena, i), bytes);
        if (status != UPLINK_OK)
            return status;
        offset += (uint32_t)bytes;
    }
    return uplink_answer(answer, sizeof answer);
}

static void run(void)
{
    uint8_t told[5] = {(uint8_t)infer()};
    put_word(told + 1, told[0] == UPLINK_OK ? uplink_crc(0, answer, sizeof answer) : 0);
    if (told[0] == UPLINK_DEAD)
        uplink_say(UPLINK_DONE, told, sizeof told);
    else
        uplink_send(UPLINK_DONE, 0, told, sizeof told);
}

int main(void)
{
    board_set_up();
    serial_start();
    clock_start();
    if (midge_model_init(arena, MIDGE_MODEL_ARENA_BYTES) != MIDGE_MODEL_OK) {
        semihosting_say("the model does not start\n");
        return 1;
    }
    for (;;) {
        struct uplink_frame frame;
        if (uplink_receive(&frame, 0) != UPLINK_OK)
            continue;
        if (frame.type == UPLINK_HELLO)
            say_who();
        else if (frame.type == UPLINK_INPUT)
            take_input(&frame);
        else if (frame.type == UPLINK_RUN)
            run();
    }
}
