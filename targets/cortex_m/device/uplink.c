#include "uplink.h"

#include <string.h>

#include "clock.h"
#include "device_config.h"
#include "serial.h"

enum {
    HEAD_BYTES = 6, /* type, number, offset */
    CRC_BYTES = 4,
    FRAME_BYTES = HEAD_BYTES + UPLINK_DATA_BYTES + CRC_BYTES, /* below 254: one block of COBS */
    QUIET = -1,
    DAMAGED = -2,
};

static uint8_t received[FRAME_BYTES + 2];
static uint8_t sent_number;     /* of the last frame that was sent */
static int taken_number = QUIET; /* of the last one that was taken */

uint32_t uplink_crc(uint32_t before, const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~before;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1u));
    }
    return ~crc;
}

static void put_word(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(word >> 8 * i);
}

static uint32_t word_at(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* ---- one frame ---- */

static void put_frame(uint8_t type, uint8_t number, uint32_t offset, const uint8_t *data,
                      size_t bytes)
{
    static uint8_t frame[FRAME_BYTES];
    frame[0] = type;
    frame[1] = number;
    put_word(frame + 2, offset);
    if (bytes > 0)
        memcpy(frame + HEAD_BYTES, data, bytes);
    size_t length = HEAD_BYTES + bytes;
    put_word(frame + length, uplink_crc(0, frame, length));
    length += CRC_BYTES;
    for (size_t start = 0; start <= length;) { /* each zero becomes the way to the next one */
        size_t end = start;
        while (end < length && frame[end] != 0)
            end++;
        serial_put((char)(end - start + 1));
        for (; start < end; start++)
            serial_put((char)frame[start]);
        start++;
    }
    serial_put(0);
}

/* The bytes of `received` before their CRC, unstuffed in place; DAMAGED if they aren't a frame. */
static int unstuffed(size_t length)
{
    size_t from = 0, to = 0;
    while (from < length) {
        const size_t code = received[from++];
        if (from + code - 1 > length)
            return DAMAGED;
        for (size_t i = 1; i < code; i++)
            received[to++] = received[from++];
        if (from < length)
            received[to++] = 0;
    }
    if (to < HEAD_BYTES + CRC_BYTES || to > FRAME_BYTES)
        return DAMAGED;
    to -= CRC_BYTES;
    return uplink_crc(0, received, to) == word_at(received + to) ? (int)to : DAMAGED;
}

/* A frame's bytes before its CRC, QUIET if none came for `us` (0: wait for ever), or DAMAGED. */
static int get_frame(uint32_t us)
{
    const uint32_t started = clock_us();
    size_t length = 0;
    int overflow = 0;
    for (;;) {
        if (!serial_waiting()) {
            if (us != 0 && clock_us() - started >= us)
                return QUIET;
            continue;
        }
        const uint8_t byte = (uint8_t)serial_get();
        if (byte != 0) {
            if (length < sizeof received)
                received[length++] = byte;
            else
                overflow = 1;
        } else if (length > 0 || overflow) {
            return overflow ? DAMAGED : unstuffed(length);
        }
    }
}

/* ---- frames that are sure to arrive ---- */

static int is_data(uint8_t type)
{
    return type != UPLINK_ACKNOWLEDGE && type != UPLINK_AGAIN;
}

int uplink_receive(struct uplink_frame *frame, uint32_t us)
{
    for (;;) {
        const int length = get_frame(us);
        if (length == QUIET)
            return UPLINK_DEAD;
        if (length == DAMAGED) {
            put_frame(UPLINK_AGAIN, 0, 0, NULL, 0);
            continue;
        }
        if (!is_data(received[0]))
            continue;
        const int number = received[1];
        put_frame(UPLINK_ACKNOWLEDGE, (uint8_t)number, 0, NULL, 0);
        if (number == taken_number && received[0] != UPLINK_HELLO)
            continue;
        taken_number = number;
        frame->type = received[0];
        frame->offset = word_at(received + 2);
        frame->bytes = (size_t)length - HEAD_BYTES;
        frame->data = received + HEAD_BYTES;
        return UPLINK_OK;
    }
}

int uplink_send(uint8_t type, uint32_t offset, const uint8_t *data, size_t bytes)
{
    sent_number++;
    for (int tries = 0; tries < MIDGE_UPLINK_TRIES; tries++) {
        put_frame(type, sent_number, offset, data, bytes);
        const uint32_t started = clock_us();
        for (uint32_t passed = 0; passed < MIDGE_UPLINK_US; passed = clock_us() - started) {
            const int length = get_frame(MIDGE_UPLINK_US - passed);
            if (length == QUIET || length == DAMAGED)
                break;
            if (received[0] == UPLINK_AGAIN)
                break;
            if (received[0] == UPLINK_ACKNOWLEDGE && received[1] == sent_number)
                return UPLINK_OK;
            if (is_data(received[0]) && received[1] == taken_number) /* our word was lost */
                put_frame(UPLINK_ACKNOWLEDGE, received[1], 0, NULL, 0);
        }
    }
    return UPLINK_DEAD;
}

void uplink_say(uint8_t type, const uint8_t *data, size_t bytes)
{
    put_frame(type, ++sent_number, 0, data, bytes);
}

/* ---- tensors ---- */

int uplink_send_all(uint8_t type, uint32_t offset, const uint8_t *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += UPLINK_DATA_BYTES) {
        const size_t left = bytes - at;
        const size_t count = left < UPLINK_DATA_BYTES ? left : (size_t)UPLINK_DATA_BYTES;
        const int status = uplink_send(type, offset + (uint32_t)at, data + at, count);
        if (status != UPLINK_OK)
            return status;
    }
    return UPLINK_OK;
}

int uplink_answer(uint8_t *answer, size_t bytes)
{
    for (size_t got = 0; got < bytes;) {
        struct uplink_frame frame;
        if (uplink_receive(&frame, MIDGE_UPLINK_ANSWER_US) != UPLINK_OK)
            return UPLINK_DEAD;
        if (frame.type == UPLINK_REFUSAL)
            return UPLINK_REFUSED;
        if (frame.type != UPLINK_ANSWER || frame.offset > bytes ||
            frame.bytes > bytes - frame.offset)
            return UPLINK_CONFUSED;
        memcpy(answer + frame.offset, frame.data, frame.bytes);
        got += frame.bytes;
    }
    return UPLINK_OK;
}
