/* The model as the protocol sees it: bytes in, numbers in thousandths out. */
#ifndef MIDGE_MODEL_IO_H
#define MIDGE_MODEL_IO_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of an input as the host sends it. */
extern const size_t model_sent_bytes;

/* Prepare the arena; 0, or the model's status. */
int model_start(void);

/* One inference on what the host sent; 0, or the model's status. */
int model_infer(const uint8_t *sent);

/* How many numbers the results have, and number `index` in thousandths, ties to even. */
int model_results(void);
int32_t model_result(const uint8_t *sent, int index);

#endif
