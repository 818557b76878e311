//! Block devices and image files: who they are, what uses them, how they are read and written.
