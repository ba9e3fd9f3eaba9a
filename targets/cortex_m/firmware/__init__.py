"""Start-up, semihosting, instruction counter and main program of a board under emulation."""
