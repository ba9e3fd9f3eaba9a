/* Ticks of each kernel call, added up over the passes of its loop. */
#include "profile.h"

#include "counter.h"
#include "model_under_test.h"
#include "semihosting.h"

enum { CALIBRATION = MIDGE_PROFILE_CALLS };

static uint64_t spent[MIDGE_PROFILE_CALLS + 1];
static uint32_t started;

void midge_profile_begin(void) { started = counter_now(); }

void midge_profile_end(int call)
{
    const uint32_t ended = counter_now();
    spent[call] += (uint32_t)(ended - started);
}

int midge_profile_write(int file)
{
    for (int i = 0; i < MIDGE_PROFILE_PAIRS; i++) {
        midge_profile_begin();
        midge_profile_end(CALIBRATION);
    }
    return semihosting_write(file, spent, sizeof spent);
}
