/* Views of the arena and the constants, which are bytes, as wider numbers.
 *
 * Compilers assume that an int8_t array is never read as int32_t; MIDGE_MAY_ALIAS tells them that
 * here it is. Every offset is aligned to its type.
 */
#ifndef MIDGE_MEMORY_H
#define MIDGE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MIDGE_MAY_ALIAS __attribute__((__may_alias__))
#define MIDGE_ALIGNED(bytes) __attribute__((aligned(bytes)))
#define MIDGE_INLINE static inline __attribute__((always_inline))
#define MIDGE_NOINLINE __attribute__((noinline))
#else
#define MIDGE_MAY_ALIAS
#define MIDGE_ALIGNED(bytes)
#define MIDGE_INLINE static inline
#define MIDGE_NOINLINE
#endif

typedef int16_t MIDGE_MAY_ALIAS midge_int16;
typedef int32_t MIDGE_MAY_ALIAS midge_int32;
typedef int64_t MIDGE_MAY_ALIAS midge_int64;
typedef uint16_t MIDGE_MAY_ALIAS midge_uint16;
typedef uint32_t MIDGE_MAY_ALIAS midge_uint32;
typedef uint64_t MIDGE_MAY_ALIAS midge_uint64;
typedef float MIDGE_MAY_ALIAS midge_float;
typedef double MIDGE_MAY_ALIAS midge_double;

MIDGE_INLINE const midge_int32 *midge_int32_at(const int8_t *base, ptrdiff_t offset)
{
    return (const midge_int32 *)(const void *)(base + offset);
}

MIDGE_INLINE const midge_int64 *midge_int64_at(const int8_t *base, ptrdiff_t offset)
{
    return (const midge_int64 *)(const void *)(base + offset);
}

MIDGE_INLINE const midge_float *midge_float_at(const int8_t *base, ptrdiff_t offset)
{
    return (const midge_float *)(const void *)(base + offset);
}

MIDGE_INLINE const midge_double *midge_double_at(const int8_t *base, ptrdiff_t offset)
{
    return (const midge_double *)(const void *)(base + offset);
}

/* An entry of a row table: where the row starts, or NULL for a row of padding. */
MIDGE_INLINE int8_t *midge_row(int8_t *arena, const midge_int32 *rows, int32_t row)
{
    return rows[row] < 0 ? NULL : arena + rows[row];
}

#endif
