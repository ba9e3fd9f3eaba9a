/* Compilers may turn such loops into calls of the very functions, unless they are told not to. */
#include "string.h"

#include <stdint.h>

#define NOT_A_CALL __attribute__((optimize("no-tree-loop-distribute-patterns")))

typedef uint32_t __attribute__((__may_alias__)) word;

NOT_A_CALL void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    unsigned char *y = to;
    const unsigned char *x = from;
    if ((((uintptr_t)y | (uintptr_t)x) & 3) == 0)
        for (; bytes >= 4; bytes -= 4, y += 4, x += 4)
            *(word *)(void *)y = *(const word *)(const void *)x;
    while (bytes-- > 0)
        *y++ = *x++;
    return to;
}

NOT_A_CALL void *memset(void *at, int value, size_t bytes)
{
    unsigned char *y = at;
    const unsigned char byte = (unsigned char)value;
    const uint32_t four = byte * 0x01010101u;
    for (; bytes > 0 && ((uintptr_t)y & 3) != 0; bytes--)
        *y++ = byte;
    for (; bytes >= 4; bytes -= 4, y += 4)
        *(word *)(void *)y = four;
    while (bytes-- > 0)
        *y++ = byte;
    return at;
}

NOT_A_CALL size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}
