//! Partition tables: GPT and MBR, read tolerantly and rewritten slot-exact.
