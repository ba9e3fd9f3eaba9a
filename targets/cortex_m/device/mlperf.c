/* Commands end with '%', replies with "m-ready". Whatever else comes over the line is answered with
 * an error and leaves no trace. */
#include "mlperf.h"

#include <string.h>

#include "clock.h"
#include "device_config.h"
#include "model_io.h"
#include "serial.h"

enum { COMMAND_BYTES = 80, LINE_BYTES = 8 };

static char command[COMMAND_BYTES + 1];
static size_t length;
static int too_long;

static uint8_t *data;  /* what the host loads */
static size_t room;    /* bytes there */
static size_t wanted;  /* bytes announced by "db load" */
static size_t loaded;
static int inferred;

static void say(const char *text)
{
    for (; *text != '\0'; text++)
        serial_put(*text);
}

static void say_number(uint32_t value)
{
    char digits[11];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    say(digits + at);
}

static void say_thousandths(int32_t value)
{
    const uint32_t size = value < 0 ? (uint32_t)-(int64_t)value : (uint32_t)value;
    if (value < 0)
        serial_put('-');
    say_number(size / 1000);
    serial_put('.');
    for (uint32_t unit = 100; unit > 0; unit /= 10)
        serial_put((char)('0' + size / unit % 10));
}

/* "before" number "after", end of line. */
static void say_line(const char *before, uint32_t value, const char *after)
{
    say(before);
    say_number(value);
    say(after);
    say("\r\n");
}

static void say_error(const char *what, const char *about)
{
    say("e-[");
    say(what);
    say(about);
    say("]\r\n");
}

/* The next word of the command, or NULL; `rest` moves on behind it. */
static char *next_word(char **rest)
{
    char *word = *rest;
    while (*word == ' ')
        word++;
    if (*word == '\0')
        return NULL;
    char *end = word;
    while (*end != '\0' && *end != ' ')
        end++;
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static int equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* A decimal number below 2**31, or -1. */
static int32_t number(const char *word)
{
    int32_t value = 0;
    if (word == NULL || *word == '\0')
        return -1;
    for (; *word != '\0'; word++) {
        const int32_t digit = *word - '0';
        if (digit < 0 || digit > 9 || value > (INT32_MAX - digit) / 10)
            return -1;
        value = 10 * value + digit;
    }
    return value;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void load(const char *count)
{
    const int32_t bytes = number(count);
    if (bytes <= 0) {
        say_error("Command 'db load' requires the # of bytes", "");
    } else if ((size_t)bytes > room) {
        say_line("e-[Supplied buffer size exceeds maximum of ", (uint32_t)room, "]");
    } else {
        wanted = (size_t)bytes;
        loaded = 0;
        inferred = 0;
        say_line("m-[Expecting ", (uint32_t)bytes, " bytes]");
    }
}

/* Bytes in hexadecimal; nothing is taken if any digit is wrong, and none over what was announced. */
static void append(const char *digits)
{
    const size_t count = strlen(digits);
    if (count & 1) {
        say_error("Insufficent number of hex digits", ""); /* spelt as in the protocol */
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (hex_digit(digits[i]) < 0) {
            say_error("Invalid hex digit", "");
            return;
        }
    if (wanted == 0) {
        say_error("Command 'db load' must come first", "");
        return;
    }
    for (; *digits != '\0' && loaded < wanted; digits += 2)
        data[loaded++] = (uint8_t)(hex_digit(digits[0]) << 4 | hex_digit(digits[1]));
    if (loaded == wanted)
        say("m-load-done\r\n");
}

static void print_data(void)
{
    for (size_t i = 0; i < loaded; i++) {
        if (i % LINE_BYTES == 0)
            say("m-buffer-");
        serial_put("0123456789abcdef"[data[i] >> 4]);
        serial_put("0123456789abcdef"[data[i] & 15]);
        say((i + 1) % LINE_BYTES == 0 || i + 1 == loaded ? "\r\n" : "-");
    }
}

static void say_time(void) { say_line("m-lap-us-", clock_us(), ""); }

static void say_results(void)
{
    if (!inferred) {
        say_error("There is no inference to report", "");
        return;
    }
    say("m-results-[");
    for (int i = 0; i < model_results(); i++) {
        if (i > 0)
            serial_put(',');
        say_thousandths(model_result(data, i));
    }
    say("]\r\n");
}

static int infer(int32_t times)
{
    for (; times > 0; times--)
        if (model_infer(data) != 0) {
            say_error("The model failed", "");
            return -1;
        }
    return 0;
}

static void run(const char *first, const char *second)
{
    const int32_t times = first == NULL ? 1 : number(first);
    const int32_t warmup = second == NULL ? 10 : number(second);
    if (times <= 0) {
        say_error("Inference iterations must be >0", "");
        return;
    }
    if (warmup < 0) {
        say_error("Inference warmup must be >=0", "");
        return;
    }
    if (loaded != model_sent_bytes) {
        say_line("e-[The model takes ", (uint32_t)model_sent_bytes, " bytes of input]");
        return;
    }
    say_line("m-warmup-start-", (uint32_t)warmup, "");
    if (infer(warmup) != 0)
        return;
    say("m-warmup-done\r\n");
    say_line("m-infer-start-", (uint32_t)times, "");
    say_time();
    if (infer(times) != 0)
        return;
    say_time();
    say("m-infer-done\r\n");
    inferred = 1;
    say_results();
}

static void help(void)
{
    say("ULPMark for tinyML Firmware V0.0.1\r\n\r\n"
        "help         : Print this information\r\n"
        "name         : Print the name of the device\r\n"
        "timestamp    : Generate a timestamp\r\n"
        "profile      : Print the firmware and the model\r\n"
        "db load N    : Make room for N bytes of input\r\n"
        "db HH[HH]*   : Load bytes in hexadecimal\r\n"
        "db print     : Print what is loaded\r\n"
        "infer N [W]  : W inferences to warm up (10), then N that are timed\r\n"
        "results      : Print the results again\r\n");
}

static void buffer_command(char *rest)
{
    char *word = next_word(&rest);
    if (word == NULL)
        say_error("Command 'db' requires a subcommand", "");
    else if (equal(word, "load"))
        load(next_word(&rest));
    else if (equal(word, "print"))
        print_data();
    else
        append(word);
}

static void obey(char *rest)
{
    char *word = next_word(&rest);
    if (word == NULL) {
        say_error("Unknown command: ", "");
    } else if (equal(word, "name")) {
        say("m-name-dut-[" MIDGE_VENDOR "]\r\n");
    } else if (equal(word, "timestamp")) {
        say_time();
    } else if (equal(word, "profile")) {
        say("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n"
            "m-model-[" MIDGE_MLPERF_MODEL "]\r\n");
    } else if (equal(word, "help")) {
        help();
    } else if (equal(word, "db")) {
        buffer_command(rest);
    } else if (equal(word, "infer")) {
        char *first = next_word(&rest);
        run(first, next_word(&rest));
    } else if (equal(word, "results")) {
        say_results();
    } else {
        say_error("Unknown command: ", word);
    }
}

void mlperf_start(uint8_t *sent, size_t bytes)
{
    data = sent;
    room = bytes;
    say("m-timestamp-mode-performance\r\n");
    say_time();
    say("m-init-done\r\nm-ready\r\n");
}

void mlperf_take(char character)
{
    if (character == '%') {
        command[length] = '\0';
        if (too_long)
            say_error("Command is longer than its buffer", "");
        else
            obey(command);
        say("m-ready\r\n");
        length = 0;
        too_long = 0;
    } else if (character < ' ' || character > '~') {
        /* Line ends and noise: a command has only printable characters. */
    } else if (length < COMMAND_BYTES) {
        command[length++] = character;
    } else {
        too_long = 1;
    }
}
