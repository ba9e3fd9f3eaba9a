/* The compiler's own, which takes over where no C library has one. */
#include <stdint-gcc.h>
