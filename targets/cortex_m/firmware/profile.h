/* The hooks that a model printed for profiling calls round each kernel call. */
#ifndef MIDGE_PROFILE_H
#define MIDGE_PROFILE_H

void midge_profile_begin(void);

/* What was spent since the last begin is added to call number `call`. */
void midge_profile_end(int call);

/* Write what each call spent (uint64_t ticks), then what `MIDGE_PROFILE_PAIRS` hooks with nothing
 * between them do; 0, or -1 if it can't be written. */
int midge_profile_write(int file);

#endif
