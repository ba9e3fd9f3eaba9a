/* The board's serial port, 8 bits, no parity, one stop bit. One port, one implementation. */
#ifndef MIDGE_SERIAL_H
#define MIDGE_SERIAL_H

/* After the board's set-up writes: clocks and pins are there. */
void serial_start(void);
void serial_put(char character);

/* Whether a character has come. */
int serial_waiting(void);

/* Waits for the next character. */
char serial_get(void);

#endif
