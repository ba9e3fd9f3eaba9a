/* The second boot stage of RP2040 (data sheet, 2.8.1.3 and 4.10): the ROM copies 256 bytes from the
 * start of the flash to SRAM, checks their CRC, and runs them. They set the flash interface up for
 * the plain read command 03h, which every chip has, and start what lies behind them. */
__attribute__((naked, used, section(".boot"))) void midge_boot(void)
{
    __asm__ volatile(
        ".syntax unified\n"
        "ldr r0, =0x18000000\n" /* the flash interface, SSI */
        "movs r1, #0\n"
        "str r1, [r0, #0x08]\n" /* SSIENR: off while it is set up */
        "movs r1, #4\n"
        "str r1, [r0, #0x14]\n" /* BAUDR: a quarter of the clock */
        "ldr r1, =0x001F0300\n"
        "str r1, [r0, #0x00]\n" /* CTRLR0: 32 bits, read after a command */
        "movs r1, #0\n"
        "str r1, [r0, #0x04]\n" /* CTRLR1: one word a read */
        "ldr r1, =0x03000218\n"
        "ldr r2, =0x180000F4\n"
        "str r1, [r2]\n" /* SPI_CTRLR0: command 03h, 8 bits of it, 24 of address, one line */
        "movs r1, #1\n"
        "str r1, [r0, #0x08]\n"
        "ldr r0, =0x10000100\n" /* the vectors */
        "ldr r1, =0xE000ED08\n"
        "str r0, [r1]\n" /* VTOR */
        "ldm r0, {r0, r1}\n"
        "msr msp, r0\n"
        "bx r1\n"
        ".pool\n");
}
