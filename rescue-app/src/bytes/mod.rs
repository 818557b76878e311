//! The floor everything stands on: positioned reads, byte extents, checked integer fields.

mod extents;
mod fields;
mod read_at;

pub use extents::{Extent, Extents};
pub use fields::{be16, be32, be64, le16, le32, le64, slice};
pub use read_at::{ReadAt, Window};
