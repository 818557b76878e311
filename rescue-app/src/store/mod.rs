//! Where the files of an image repository live.
