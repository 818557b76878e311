//! What a captured disk is: its manifest, its chunks, and the plan that puts it back.
