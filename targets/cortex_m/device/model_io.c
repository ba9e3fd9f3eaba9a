/* Inputs and results of the MLPerf Tiny models, as its reference submissions take and print them:
 * MIDGE_SENT_AS_IS, _PIXELS (uint8, to be centred) or _FLOATS (to be quantized). */
#include "model_io.h"

#include <string.h>

#include "device_config.h"
#include "model_under_test.h"

#define DEFINE(number, symbol, size, place)                                                       \
    int8_t symbol[size] __attribute__((section(place), aligned(MIDGE_MODEL_ARENA_ALIGNMENT)));
MIDGE_EACH_MEMORY(DEFINE)

#define arena MIDGE_MODEL_ARENA

enum { SENT_ELEMENT = MIDGE_SENT == MIDGE_SENT_FLOATS ? 4 : 1 };
#if MIDGE_SENT == MIDGE_SENT_AS_IS
const size_t model_sent_bytes = MIDGE_MODEL_INPUT_0_BYTES;
#else
const size_t model_sent_bytes = (size_t)SENT_ELEMENT * MIDGE_MODEL_INPUT_0_ELEMENTS;
#endif

int model_start(void) { return midge_model_init(arena, MIDGE_MODEL_ARENA_BYTES); }

static inline float sent_float(const uint8_t *sent, size_t index)
{
    float value;
    memcpy(&value, sent + index * sizeof value, sizeof value);
    return value;
}

/* Bytes begin .. begin + count - 1 of the input tensor. */
static void put_input(int8_t *to, const uint8_t *sent, size_t begin, size_t count)
{
#if MIDGE_SENT == MIDGE_SENT_AS_IS
    memcpy(to, sent + begin, count);
#elif MIDGE_SENT == MIDGE_SENT_PIXELS
    for (size_t i = 0; i < count; i++)
        to[i] = (int8_t)(sent[begin + i] - 128);
#else
    for (size_t i = 0; i < count; i++) {
        const float scaled = sent_float(sent, begin + i) / MIDGE_MODEL_INPUT_0_SCALE;
        /* A number that isn't one fails both comparisons of the clamp, and becomes the least. */
        const float shifted = scaled + (float)MIDGE_MODEL_INPUT_0_ZERO_POINT;
        if (shifted >= 127.0f)
            to[i] = 127;
        else if (shifted > -128.0f)
            to[i] = (int8_t)(shifted < 0.0f ? shifted - 0.5f : shifted + 0.5f);
        else
            to[i] = -128;
    }
#endif
}

#ifdef MIDGE_MODEL_INPUT_ROWS
int model_infer(const uint8_t *sent)
{
    int8_t row[MIDGE_MODEL_ROW_BYTES] __attribute__((aligned(4)));
    int status = MIDGE_MODEL_OK;
    for (size_t y = 0; y < MIDGE_MODEL_INPUT_ROWS && status == MIDGE_MODEL_OK; y++) {
        put_input(row, sent, y * sizeof row, sizeof row);
        status = midge_model_push_rows(arena, row, 1);
    }
    return status;
}
#else
int model_infer(const uint8_t *sent)
{
    put_input(midge_model_input(arena, 0), sent, 0, MIDGE_MODEL_INPUT_0_BYTES);
    return midge_model_run(arena);
}
#endif

static float output_value(int index)
{
    const MIDGE_MODEL_OUTPUT_0_TYPE *values = midge_model_output(arena, 0);
#ifdef MIDGE_MODEL_OUTPUT_0_SCALE
    return (float)(values[index] - MIDGE_MODEL_OUTPUT_0_ZERO_POINT) * MIDGE_MODEL_OUTPUT_0_SCALE;
#else
    return (float)values[index];
#endif
}

static int32_t thousandths(float value)
{
    /* The product is exact: 24 bits by 10. */
    const double scaled = (double)(value < 0.0f ? -value : value) * 1000.0;
    if (!(scaled < 2147483647.0))
        return INT32_MAX;
    int32_t whole = (int32_t)scaled;
    const double rest = scaled - whole;
    if (rest > 0.5 || (rest >= 0.5 && (whole & 1)))
        whole++;
    return value < 0.0f ? -whole : whole;
}

#if MIDGE_RESULT_IS_ERROR
/* An autoencoder's result is its mean squared error. */
int model_results(void) { return 1; }

int32_t model_result(const uint8_t *sent, int index)
{
    float sum = 0.0f;
    (void)index;
    for (int i = 0; i < MIDGE_MODEL_OUTPUT_0_ELEMENTS; i++) {
        const float difference = output_value(i) - sent_float(sent, (size_t)i);
        sum += difference * difference;
    }
    return thousandths(sum / MIDGE_MODEL_OUTPUT_0_ELEMENTS);
}
#else
int model_results(void) { return MIDGE_MODEL_OUTPUT_0_ELEMENTS; }

int32_t model_result(const uint8_t *sent, int index)
{
    (void)sent;
    return thousandths(output_value(index));
}
#endif
