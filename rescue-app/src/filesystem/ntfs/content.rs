//! Content of files: in the record, in clusters, compressed or not.

use std::io;

use super::lznt1;
use super::master::Master;
use super::record::{kind, made};
use super::stream::{Stored, Stream};
use crate::bytes::ReadAt;
use crate::volume::FileError;
use crate::volume::runs::{InPieces, Piece};

/// No more is compressed together: 16 clusters of 4 KiB, or as many as make 64 KiB, bytes.
const LARGEST_UNIT: u64 = 1 << 20;

/// A file whose content lies in clusters as it is.
struct Plain<'a> {
    volume: &'a dyn ReadAt,
    content: Stream,
}

impl ReadAt for Plain<'_> {
    fn size(&self) -> u64 {
        self.content.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.content.read(self.volume, offset, buf)
    }
}

/// The content without a name of file `number`; a file without any is empty.
pub(super) fn open<'a>(
    master: &Master<'a>,
    number: u64,
) -> Result<Box<dyn ReadAt + 'a>, FileError> {
    let found = master.with_attribute(number, kind::DATA, |data| {
        (data.made(), data.value().map(<[u8]>::to_vec))
    })?;
    let Some((made, resident)) = found else { return Ok(Box::new(Vec::new())) };
    if made & made::ENCRYPTED != 0 {
        return Err(FileError::unsupported("Windows encrypted it (EFS)"));
    }
    if let Some(value) = resident {
        return Ok(Box::new(value));
    }
    let compression = made & made::COMPRESSION;
    if !matches!(compression, 0 | made::LZNT1) {
        return Err(FileError::unsupported(format!(
            "it is compressed in a way that is not known ({compression})"
        )));
    }
    let (volume, content) = (master.volume(), master.content(number)?);
    match content.unit() {
        None => Ok(Box::new(Plain { volume, content })),
        Some(unit) if (1..=LARGEST_UNIT).contains(&unit) => {
            let size = content.size;
            Ok(Box::new(InPieces::new(size, move |at| piece(volume, &content, unit, at))))
        }
        Some(_) => Err(FileError::damaged("more of it is compressed together than can be")),
    }
}

/// What was compressed together with byte `at`.
fn piece(volume: &dyn ReadAt, content: &Stream, unit: u64, at: u64) -> io::Result<Piece> {
    let at = at.saturating_sub(at.checked_rem(unit).unwrap_or(0));
    let len = usize::try_from(unit).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = match content.stored(volume, at)? {
        Stored::Nothing => vec![0; len],
        Stored::Plain(bytes) => bytes,
        Stored::Compressed(stored) => lznt1::expand(&stored, len)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not expand"))?,
    };
    // What was never written is zeros, whatever stands there.
    let written = usize::try_from(content.initialised_from(at)).unwrap_or(usize::MAX);
    bytes.iter_mut().skip(written).for_each(|byte| *byte = 0);
    Ok(Piece { at, bytes })
}
