//! An image repository in restic's format, version 2; knows blobs and trees, not disks.
