"""RV32IMC: what its compiler lacks, a C library. All else it shares with the Cortex-M cores."""
