//! Content of files.

use std::io;

use super::directory::{self, ROOT};
use super::master::Master;
use super::record::kind;
use super::stream::Stream;
use crate::bytes::ReadAt;

/// A file whose content lies in clusters.
struct File<'a> {
    master: Master<'a>,
    content: Stream,
}

impl ReadAt for File<'_> {
    fn size(&self) -> u64 {
        self.content.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.master.read(&self.content, offset, buf)
    }
}

/// The file at a path from the root; `None` when there is none, or when its content is compressed
/// or encrypted.
pub(super) fn open<'a>(master: Master<'a>, path: &[&str]) -> Option<Box<dyn ReadAt + 'a>> {
    let mut at = ROOT;
    for name in path {
        at = directory::find(&master, at, name).ok()??;
    }
    let record = master.record(at).ok()?;
    if let Some(value) = record.find(kind::DATA, &[]).and_then(|data| data.value()) {
        return Some(Box::new(value.to_vec()));
    }
    let content = master.stream(at, kind::DATA, &[]).ok()?;
    Some(Box::new(File { master, content }))
}
