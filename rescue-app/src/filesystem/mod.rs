//! What a partition holds: recognition by magic, and maps of the blocks in use.
