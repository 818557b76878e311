//! The floor everything stands on: positioned reads and direct transfers, a throw-away layer for writes, byte
//! extents, checked integer fields, names that need not be UTF-8.

mod aligned;
mod direct_file;
mod extents;
mod fields;
mod free_space;
pub mod os_text;
mod overlay;
mod read_at;
mod unnamed_file;

pub use aligned::{AlignedBuffer, PAGE};
pub use direct_file::DirectFile;
pub use extents::{Extent, Extents};
pub use fields::{be16, be32, be64, is_same, is_zero, le16, le32, le64, put, slice};
pub use free_space::free_space;
pub use overlay::{Changes, OVERLAY_BLOCK, Overlay, OverlayRoom, WriteAt};
pub use read_at::{ReadAt, Window};
pub use unnamed_file::unnamed_file;
