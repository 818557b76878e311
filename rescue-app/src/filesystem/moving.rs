//! What all volumes need whose clusters are moved to make them smaller.

use std::io;

use crate::bytes::WriteAt;
use crate::progress::Cancel;
use crate::volume::Doubt;

/// Bytes moved at once.
const PIECE: u64 = 4 << 20;

/// Copies `len` bytes to another place of the volume, which does not overlap with theirs.
///
/// # Errors
/// When they cannot be read or kept, or it is to stop.
pub(super) fn copy(
    volume: &dyn WriteAt,
    (from, to): (u64, u64),
    len: u64,
    cancel: &Cancel,
) -> Result<(), Doubt> {
    let mut done = 0u64;
    while done < len {
        go_on(cancel)?;
        let part = usize::try_from(PIECE.min(len.saturating_sub(done))).unwrap_or(0);
        let read = volume.read_vec(from.saturating_add(done), part);
        let bytes = read.map_err(Doubt::reading("what is moved"))?;
        volume.write_at(to.saturating_add(done), &bytes).map_err(unwritten)?;
        done = done.saturating_add(part as u64);
    }
    Ok(())
}

/// Bytes that stay between two that move, which are written once more with them: what is kept apart is kept in
/// blocks.
const NEAR: u64 = 64 << 10;

/// Copies pieces of a volume (from, to, and their bytes) in the order of their new places, none of which is
/// the old place of any.
///
/// # Errors
/// As of [`copy`].
pub(super) fn copy_all(
    volume: &dyn WriteAt,
    pieces: impl Iterator<Item = (u64, u64, u64)>,
    cancel: &Cancel,
) -> Result<(), Doubt> {
    let read = |at: u64, len: u64| {
        let bytes = volume.read_vec(at, usize::try_from(len).unwrap_or(usize::MAX));
        bytes.map_err(Doubt::reading("what is moved"))
    };
    let mut gathered = Gathered { volume, start: 0, bytes: Vec::new() };
    for (from, to, len) in pieces {
        let gap = to.checked_sub(gathered.end()).filter(|gap| *gap <= NEAR);
        match gap {
            Some(gap) if !gathered.bytes.is_empty() => gathered.add(read(gathered.end(), gap)?)?,
            _ => gathered.begin(to)?,
        }
        let mut done = 0u64;
        while done < len {
            go_on(cancel)?;
            let part = PIECE.min(len.saturating_sub(done));
            gathered.add(read(from.saturating_add(done), part)?)?;
            done = done.saturating_add(part);
        }
    }
    gathered.write()
}

/// Bytes that are written together.
struct Gathered<'a> {
    volume: &'a dyn WriteAt,
    start: u64,
    bytes: Vec<u8>,
}

impl Gathered<'_> {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    fn begin(&mut self, start: u64) -> Result<(), Doubt> {
        self.write()?;
        self.start = start;
        Ok(())
    }

    fn add(&mut self, bytes: Vec<u8>) -> Result<(), Doubt> {
        self.bytes.extend(bytes);
        if self.bytes.len() as u64 >= PIECE { self.begin(self.end()) } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Doubt> {
        self.volume.write_at(self.start, &self.bytes).map_err(unwritten)?;
        self.bytes.clear();
        Ok(())
    }
}

/// Fails once a person wants it to stop.
pub(super) fn go_on(cancel: &Cancel) -> Result<(), Doubt> {
    match cancel.is_requested() {
        true => Err(Doubt::because("it was stopped on request")),
        false => Ok(()),
    }
}

/// What is used does not fit.
pub(super) fn no_room() -> Doubt {
    Doubt::because("what its files use does not fit")
}

/// For `map_err`: a change could not be kept.
pub(super) fn unwritten(error: io::Error) -> Doubt {
    Doubt::because(format!("what is changed cannot be kept: {error}"))
}
