/* The least image definition of RP2350 for an Arm core in secure state (data sheet, 5.9.5.1). It must
 * lie in the first 4 KB of the flash; here it follows the vectors. */
#include <stdint.h>

__attribute__((used, section(".vectors.definition"))) static const uint32_t definition[] = {
    0xFFFFDED3, /* start of the block */
    0x10210142, /* an executable for an Arm core, secure, RP2350 */
    0x000001FF, /* the last item, of one word */
    0,          /* the next block is this one */
    0xAB123579, /* end of the block */
};
