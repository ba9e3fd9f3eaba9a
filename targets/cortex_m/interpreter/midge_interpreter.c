/* The layout of an image is that of targets/cortex_m/interpreted.py. */
#include "midge_interpreter.h"

#include <string.h>

#include "midge_interpreter_kernels.h"

enum {
    MAGIC = 0x4744494D, /* "MIDG" */
    HEADER_WORDS = 24,
    SHA256_WORD = 16,
    CHECKED_FROM = 16, /* bytes: what lies before the checksum, and itself, is not under it */
    CALL = 1,
    LOOP = 2,
    LOOP_HEADER = 4,
    STEP_WORDS = 3,
    MOST_WORDS = 64, /* of a kernel */
    MOST_CALLS = 1024,
    MOST_PASSES = 1 << 20,
    INPUT_WORDS = 2, /* where, how many bytes */
    STATE_WORDS = 3  /* and where its initial value is in the constants */
};

/* What is done with a call: checked or run. */
typedef int (*visitor)(const midge_image *image, const midge_kernel *kernel, const int32_t *words,
                       int8_t *arena);

static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static const midge_kernel *find_kernel(const midge_image *image, int32_t number)
{
    if (number < 0 || (uint32_t)number >= image->kernel_count)
        return NULL;
    for (uint32_t i = 0; i < midge_kernel_count; i++)
        if (midge_kernels[i].signature == image->kernels[number])
            return &midge_kernels[i];
    return NULL;
}

static int check_call(
    const midge_image *image, const midge_kernel *kernel, const int32_t *words, int8_t *arena)
{
    (void)arena;
    return kernel->check(image, words) ? MIDGE_IMAGE_OK : MIDGE_IMAGE_UNSAFE;
}

static int run_call(
    const midge_image *image, const midge_kernel *kernel, const int32_t *words, int8_t *arena)
{
    kernel->run(arena, image->constants, words);
    return MIDGE_IMAGE_OK;
}

/* The call number `number` of a loop's body in pass `pass`: its words with the steps taken. */
static int step_words(
    int32_t *stepped, const int32_t *words, uint32_t count, const int32_t *steps, int32_t step_count,
    int32_t number, int32_t pass)
{
    memcpy(stepped, words, count * sizeof *words);
    for (int32_t i = 0; i < step_count; i++, steps += STEP_WORDS) {
        if (steps[0] != number)
            continue;
        if (steps[1] < 0 || (uint32_t)steps[1] >= count)
            return MIDGE_IMAGE_UNSAFE;
        const int64_t value = stepped[steps[1]] + (int64_t)pass * steps[2];
        if (value < INT32_MIN || value > INT32_MAX)
            return MIDGE_IMAGE_UNSAFE;
        stepped[steps[1]] = (int32_t)value;
    }
    return MIDGE_IMAGE_OK;
}

/* The words of a call, `left` words before the end; NULL if they are cut off. */
static const int32_t *call_words(
    const midge_image *image, const int32_t *at, uint32_t left, const midge_kernel **kernel)
{
    *kernel = left > 0 ? find_kernel(image, at[0]) : NULL;
    if (*kernel == NULL || (*kernel)->words > MOST_WORDS || (*kernel)->words > left - 1)
        return NULL;
    return at + 1;
}

/* A loop's words from its count on; how many they are goes to `taken`. */
static int visit_loop(
    const midge_image *image, const int32_t *loop, uint32_t left, visitor visit, int8_t *arena,
    uint32_t *taken)
{
    if (left < LOOP_HEADER - 1)
        return MIDGE_IMAGE_UNSAFE;
    const int32_t passes = loop[0], calls = loop[1], step_count = loop[2];
    if (passes < 1 || passes > MOST_PASSES || calls < 1 || calls > MOST_CALLS || step_count < 0
        || (uint32_t)step_count > (left - (LOOP_HEADER - 1)) / STEP_WORDS)
        return MIDGE_IMAGE_UNSAFE;
    const int32_t *const steps = loop + LOOP_HEADER - 1;
    const uint32_t first = LOOP_HEADER - 1 + STEP_WORDS * (uint32_t)step_count;
    for (int32_t pass = 0; pass < passes; pass++) {
        uint32_t at = first;
        for (int32_t number = 0; number < calls; number++) {
            const midge_kernel *kernel;
            const int32_t *words = call_words(image, loop + at, left - at, &kernel);
            int32_t stepped[MOST_WORDS];
            if (words == NULL)
                return kernel == NULL ? MIDGE_IMAGE_UNKNOWN_KERNEL : MIDGE_IMAGE_UNSAFE;
            int status =
                step_words(stepped, words, kernel->words, steps, step_count, number, pass);
            if (status == MIDGE_IMAGE_OK)
                status = visit(image, kernel, stepped, arena);
            if (status != MIDGE_IMAGE_OK)
                return status;
            at += 1 + kernel->words;
        }
        *taken = at;
    }
    return MIDGE_IMAGE_OK;
}

static int visit_all(const midge_image *image, visitor visit, int8_t *arena)
{
    for (uint32_t at = 0; at < image->word_count;) {
        const int32_t *word = image->words + at;
        const uint32_t left = image->word_count - at - 1;
        uint32_t taken = 0;
        int status;
        if (*word == CALL) {
            const midge_kernel *kernel;
            const int32_t *words = call_words(image, word + 1, left, &kernel);
            if (words == NULL)
                return kernel == NULL ? MIDGE_IMAGE_UNKNOWN_KERNEL : MIDGE_IMAGE_UNSAFE;
            taken = 1 + kernel->words;
            status = visit(image, kernel, words, arena);
        } else if (*word == LOOP) {
            status = visit_loop(image, word + 1, left, visit, arena, &taken);
        } else {
            return MIDGE_IMAGE_UNSAFE;
        }
        if (status != MIDGE_IMAGE_OK)
            return status;
        at += 1 + taken;
    }
    return MIDGE_IMAGE_OK;
}

static int lies_in(uint32_t at, uint32_t count, uint32_t size, uint32_t total)
{
    return at % 4 == 0 && at <= total && count <= (total - at) / size;
}

static int tensors_fit(const midge_image *image)
{
    const uint32_t plain = image->inputs + image->outputs;
    const uint32_t *tensor = image->tensors;
    for (uint32_t i = 0; i < plain + image->states; i++) {
        if (tensor[0] > image->arena_bytes || tensor[1] > image->arena_bytes - tensor[0])
            return 0;
        if (i >= plain
            && (tensor[2] > image->constant_bytes || tensor[1] > image->constant_bytes - tensor[2]))
            return 0;
        tensor += i >= plain ? STATE_WORDS : INPUT_WORDS;
    }
    return 1;
}

int midge_image_open(midge_image *image, const void *start, size_t bytes, size_t arena_bytes)
{
    const uint32_t *header = start;
    if (start == NULL || (uintptr_t)start % MIDGE_IMAGE_ALIGNMENT != 0)
        return MIDGE_IMAGE_UNALIGNED;
    if (bytes < HEADER_WORDS * sizeof *header || header[0] != MAGIC)
        return MIDGE_IMAGE_FOREIGN;
    if (header[1] != MIDGE_IMAGE_VERSION)
        return MIDGE_IMAGE_OTHER_VERSION;
    const uint32_t total = header[2];
    if (total > bytes || total < HEADER_WORDS * sizeof *header || total > INT32_MAX)
        return MIDGE_IMAGE_FOREIGN;
    if (crc32((const uint8_t *)start + CHECKED_FROM, total - CHECKED_FROM) != header[3])
        return MIDGE_IMAGE_DAMAGED;
    const uint32_t inputs = header[12], outputs = header[13], states = header[14];
    if (inputs > MOST_CALLS || outputs > MOST_CALLS || states > MOST_CALLS)
        return MIDGE_IMAGE_UNSAFE;
    const uint32_t tensor_words = INPUT_WORDS * (inputs + outputs) + STATE_WORDS * states;
    if (header[5] % MIDGE_IMAGE_ALIGNMENT != 0 || !lies_in(header[5], header[6], 1, total)
        || !lies_in(header[7], header[8], 4, total) || !lies_in(header[9], header[10], 4, total)
        || !lies_in(header[11], tensor_words, 4, total) || header[4] > INT32_MAX)
        return MIDGE_IMAGE_UNSAFE;
    const uint8_t *base = start;
    const midge_image opened = {
        base,
        (const int8_t *)(base + header[5]),
        (const int32_t *)(const void *)(base + header[7]),
        (const uint32_t *)(const void *)(base + header[9]),
        (const uint32_t *)(const void *)(base + header[11]),
        header[6], header[4], header[8], header[10], inputs, outputs, states,
    };
    if (opened.arena_bytes > arena_bytes)
        return MIDGE_IMAGE_ARENA_TOO_SMALL;
    if (!tensors_fit(&opened))
        return MIDGE_IMAGE_UNSAFE;
    const int status = visit_all(&opened, check_call, NULL);
    if (status == MIDGE_IMAGE_OK)
        *image = opened;
    return status;
}

static int is_aligned(const void *arena)
{
    return arena != NULL && (uintptr_t)arena % MIDGE_IMAGE_ALIGNMENT == 0;
}

int midge_image_reset(const midge_image *image, void *arena)
{
    if (!is_aligned(arena))
        return MIDGE_IMAGE_UNALIGNED;
    const uint32_t *state = image->tensors + INPUT_WORDS * (image->inputs + image->outputs);
    for (uint32_t i = 0; i < image->states; i++, state += STATE_WORDS)
        memcpy((int8_t *)arena + state[0], image->constants + state[2], state[1]);
    return MIDGE_IMAGE_OK;
}

int midge_image_run(const midge_image *image, void *arena)
{
    return is_aligned(arena) ? visit_all(image, run_call, arena) : MIDGE_IMAGE_UNALIGNED;
}

void *midge_image_input(const midge_image *image, void *arena, uint32_t index)
{
    return index < image->inputs ? (int8_t *)arena + image->tensors[INPUT_WORDS * index] : NULL;
}

const void *midge_image_output(const midge_image *image, const void *arena, uint32_t index)
{
    return index < image->outputs
               ? (const int8_t *)arena + image->tensors[INPUT_WORDS * (image->inputs + index)]
               : NULL;
}

size_t midge_image_input_bytes(const midge_image *image, uint32_t index)
{
    return index < image->inputs ? image->tensors[INPUT_WORDS * index + 1] : 0;
}

size_t midge_image_output_bytes(const midge_image *image, uint32_t index)
{
    return index < image->outputs
               ? image->tensors[INPUT_WORDS * (image->inputs + index) + 1]
               : 0;
}

const uint8_t *midge_image_model_sha256(const midge_image *image)
{
    return image->start + 4 * SHA256_WORD;
}
