/* What a board must be told before its clock and its port work. */
#ifndef MIDGE_SETUP_H
#define MIDGE_SETUP_H

void board_set_up(void);

#endif
