//! Filesystems whose maps are not read: they are recognised and captured whole.

pub(crate) mod apfs;
pub(crate) mod iso9660;
pub(crate) mod refs;
pub(crate) mod squashfs;
pub(crate) mod zfs;
