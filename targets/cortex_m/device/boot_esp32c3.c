/* What ESP32-C3's ROM looks for at the start of the flash before it starts an image in place ("direct
 * boot", silicon revision 3 and newer): it maps the flash, and jumps behind these words. */
#include <stdint.h>

__attribute__((used, section(".boot"))) static const uint32_t direct_boot[] = {
    0xAEDB041D, 0xAEDB041D};
