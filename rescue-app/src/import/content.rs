//! What a filesystem or a disk was saved as: by partclone or byte by byte, packed or not, in one file or several.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::foreign_file::{ForeignFile, HEAD, Way};
use super::packing::{Packing, Unpacker};
use super::partclone;
use super::parts::{Parts, Progress};
use super::scratch::Scratch;
use crate::console;
use crate::progress::Reporter;

/// Bytes that are unpacked before they are written.
const PIECE: usize = 1 << 20;
/// Bytes that the last block of a filesystem may reach behind its partition.
const LARGEST_REST: usize = 64 << 10;

/// Where it goes: a stretch of a disk that is put together.
pub(super) struct Target<'a> {
    pub(super) disk: &'a mut Scratch,
    /// First byte.
    pub(super) start: u64,
    /// Bytes that there are.
    pub(super) room: u64,
}

/// What it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The filesystem as partclone calls it; empty where all bytes are there.
    pub(super) filesystem: String,
    /// Bytes of the filesystem, or of all that there is.
    pub(super) size: u64,
    /// What a person should know.
    pub(super) remarks: Vec<String>,
}

/// Puts what is in some files, which are one stream, where it goes. `packing` is how they are packed where only their
/// name tells; else their content does.
///
/// # Errors
/// [`ImportError::Damaged`] for what is cut short or not as it should be; those of writing it; refuses what is not read.
pub(super) fn put(
    files: Vec<PathBuf>,
    packing: Option<Packing>,
    mut target: Target<'_>,
    reporter: &Reporter<'_>,
) -> Result<Held, ImportError> {
    let first = files.first().cloned().unwrap_or_default();
    let packing = packing.map_or_else(|| packing_of(&first), |packing| Ok(Some(packing)))?;
    let parts = Parts::new(files);
    let progress = parts.progress();
    let stream: Box<dyn Read> = match packing {
        Some(packing) => {
            Box::new(Unpacker::new(packing, parts).map_err(|error| progress.failed(error))?)
        }
        None => Box::new(parts),
    };
    let mut stream = Told { stream, progress: &progress, reporter, told: 0 };
    let head = take(&mut stream, HEAD, &progress)?;
    let mut stream = Cursor::new(head.clone()).chain(stream);
    if head.starts_with(partclone::MAGIC) {
        let mut put = |at, bytes: &[u8]| target.put(at, bytes, &progress);
        let restored = partclone::restore(&mut stream, &progress, &mut put)?;
        return Ok(Held {
            filesystem: restored.filesystem,
            size: restored.size,
            remarks: bad_sectors(&first, restored.bad_sectors).into_iter().collect(),
        });
    }
    let mut at = 0;
    loop {
        let piece = take(&mut stream, PIECE, &progress)?;
        if piece.is_empty() {
            return Ok(Held { size: at, ..Held::default() });
        }
        target.put(at, &piece, &progress)?;
        at += piece.len() as u64;
    }
}

fn bad_sectors(file: &Path, count: u64) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{}: {count} sectors could not be read when the image was made, and hold the word BADSECTOR",
            console::path(file)
        )
    })
}

/// How a file is packed, by its content.
fn packing_of(file: &Path) -> Result<Option<Packing>, ImportError> {
    let mut head = Vec::new();
    let opened = File::open(file).map_err(ImportError::reading(file))?;
    opened.take(HEAD as u64).read_to_end(&mut head).map_err(ImportError::reading(file))?;
    match ForeignFile::recognise(&head).map(ForeignFile::way) {
        Some(Way::Packed(packing)) => Ok(Some(packing)),
        Some(Way::Unpack(command)) => Err(ImportError::refused(
            format!("{} is packed in a way that is not read", console::path(file)),
            format!("unpack it first, with {command}"),
        )),
        _ => Ok(None),
    }
}

/// The first `len` bytes of a stream, or all that there are.
fn take(stream: &mut dyn Read, len: usize, progress: &Progress) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::with_capacity(len);
    match stream.take(len as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(progress.failed(error)),
    }
}

/// A stream of which it is told how far reading has come.
struct Told<'a> {
    stream: Box<dyn Read>,
    progress: &'a Progress,
    reporter: &'a Reporter<'a>,
    /// Bytes of the files.
    told: u64,
}

impl Read for Told<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buf)?;
        let taken = self.progress.taken();
        let more = taken.saturating_sub(self.told);
        self.told = taken;
        match self.reporter.advance(more, 0, 0) {
            Ok(()) => Ok(read),
            Err(stopped) => Err(std::io::Error::other(stopped)),
        }
    }
}

impl Target<'_> {
    fn put(&mut self, at: u64, bytes: &[u8], progress: &Progress) -> Result<(), ImportError> {
        let left = self.room.saturating_sub(at);
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let (bytes, behind) = bytes.split_at(fits);
        if behind.len() > LARGEST_REST {
            return Err(progress.damaged("it holds more than its partition has room for"));
        }
        self.disk.put(self.start.saturating_add(at), bytes)
    }
}
