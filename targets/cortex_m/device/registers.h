/* Device registers by address. */
#ifndef MIDGE_REGISTERS_H
#define MIDGE_REGISTERS_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#endif
