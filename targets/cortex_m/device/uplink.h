/* Frames over the serial port to a gateway, which asks a server: the rest of a model that is cut.
 *
 * A frame is type, number, four bytes of offset, data, and the CRC-32 of all that (IEEE 802.3, little
 * endian), stuffed without zeros (COBS, Cheshire and Baker 1999) and closed by a zero. Each frame with
 * data is acknowledged by its number before the next is sent; what is not acknowledged is sent again,
 * and what was received twice is acknowledged twice and taken once. A frame that was damaged is asked
 * for again. */
#ifndef MIDGE_UPLINK_H
#define MIDGE_UPLINK_H

#include <stddef.h>
#include <stdint.h>

enum uplink_status {
    UPLINK_OK = 0,
    UPLINK_DEAD = 1,     /* nobody acknowledged, or the answer never came */
    UPLINK_REFUSED = 2,  /* the gateway has no answer: its server doesn't give one */
    UPLINK_CONFUSED = 3, /* a frame that isn't to be expected here, or doesn't fit */
};

/* Bytes of data in a frame at most. */
enum { UPLINK_DATA_BYTES = 192 };

enum uplink_type {
    UPLINK_ACKNOWLEDGE = 'A',
    UPLINK_AGAIN = 'N',  /* the last frame was damaged */
    UPLINK_HELLO = 'H',  /* who are you; the device says which model, and how many bytes of what */
    UPLINK_INPUT = 'I',  /* bytes of the model's input at an offset */
    UPLINK_RUN = 'R',
    UPLINK_CUT = 'C',    /* bytes of what crosses the cut at an offset */
    UPLINK_ANSWER = 'O', /* bytes of the answer at an offset */
    UPLINK_REFUSAL = 'E',
    UPLINK_DONE = 'D',   /* a status, and the CRC-32 of the answer */
};

struct uplink_frame {
    uint8_t type;
    uint32_t offset;
    size_t bytes;
    const uint8_t *data; /* until the next frame is received */
};

/* The next new frame, acknowledged. `us` is the longest wait for it, 0 for ever. */
int uplink_receive(struct uplink_frame *frame, uint32_t us);

/* Send at most UPLINK_DATA_BYTES and wait until they are acknowledged. */
int uplink_send(uint8_t type, uint32_t offset, const uint8_t *data, size_t bytes);

/* Send once, acknowledged or not. */
void uplink_say(uint8_t type, const uint8_t *data, size_t bytes);

/* Send a number of bytes as frames of `type`, whose offsets begin at `offset`. */
int uplink_send_all(uint8_t type, uint32_t offset, const uint8_t *data, size_t bytes);

/* The answer to all that was sent: `bytes` of it, in whatever order they come. */
int uplink_answer(uint8_t *answer, size_t bytes);

uint32_t uplink_crc(uint32_t before, const uint8_t *data, size_t bytes);

#endif
