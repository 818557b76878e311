//! VMDK in several files: a text that names them (VMware, "Virtual Disk Format 5.0", "The Descriptor File"), each a stretch of
//! the disk.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path};
use std::sync::Arc;

use crate::bytes::{Extents, ReadAt};
use crate::disk::Source;
use crate::virtual_disk::{self, Disk, Format};

/// Bytes of the text at most, and stretches that it may name: 2 TiB in files of 2 GiB are a thousand.
const MOST_TEXT: u64 = 1 << 20;
const MOST_PIECES: usize = 1 << 16;
const SECTOR: u64 = 512;
/// The number of the text in front of one that stands alone.
const NO_PARENT: &str = "ffffffff";

/// The disk.
pub(super) struct Joined {
    size: u64,
    /// By their first byte, without gaps.
    pieces: Vec<Piece>,
}

struct Piece {
    start: u64,
    size: u64,
    /// `None` for zeros.
    file: Option<Box<dyn Disk>>,
    /// Where in the file it begins.
    offset: u64,
}

/// A line that names a stretch: `RW 4192256 SPARSE "disk-s001.vmdk"`.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    size: u64,
    kind: &'a str,
    name: &'a str,
    offset: u64,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.trim().splitn(3, ' ');
        if !matches!(words.next()?, "RW" | "RDONLY" | "NOACCESS") {
            return None;
        }
        let size = words.next()?.parse::<u64>().ok()?.checked_mul(SECTOR)?;
        let (head, rest) = words.next()?.split_once('"').unwrap_or((line, ""));
        let kind = if rest.is_empty() { line.trim().rsplit(' ').next()? } else { head.trim() };
        let (name, offset) = rest.split_once('"').unwrap_or_default();
        let offset = match offset.trim() {
            "" => 0,
            sectors => sectors.parse::<u64>().ok()?.checked_mul(SECTOR)?,
        };
        Some(Self { size, kind, name, offset })
    }
}

fn wrong(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

impl Joined {
    /// The disk that the text in `file` describes; the files that it names are beside it in `folder`.
    ///
    /// # Errors
    /// What is not in order in the text or a file, or not known.
    pub(super) fn open(file: &dyn ReadAt, folder: &Path) -> io::Result<Self> {
        let len = usize::try_from(file.size().min(MOST_TEXT)).unwrap_or_default();
        let text = file.read_vec(0, len)?;
        let text = String::from_utf8_lossy(&text);
        let parent = text.lines().filter_map(|line| line.split_once('='));
        let mut parent = parent.filter(|(name, _)| name.trim().eq_ignore_ascii_case("parentCID"));
        if parent.next().is_some_and(|(_, id)| !id.trim().eq_ignore_ascii_case(NO_PARENT)) {
            return Err(wrong("it is only what differs from another file"));
        }
        let mut joined = Self { size: 0, pieces: Vec::new() };
        for line in text.lines().filter_map(Line::parse).take(MOST_PIECES) {
            joined.add(&line, folder)?;
        }
        if joined.pieces.is_empty() {
            return Err(wrong("it names no file"));
        }
        Ok(joined)
    }

    fn add(&mut self, line: &Line<'_>, folder: &Path) -> io::Result<()> {
        let file = match line.kind {
            "ZERO" => None,
            "FLAT" | "VMFS" => Some(open(Format::Raw, line.name, folder)?),
            "SPARSE" => Some(open(Format::Vmdk, line.name, folder)?),
            other => return Err(wrong(format!("a file of the kind {other} is not known"))),
        };
        let end = line.offset.checked_add(line.size);
        if file.as_ref().is_some_and(|file| end.is_none_or(|end| end > file.size())) {
            return Err(wrong(format!("{} is cut short", line.name)));
        }
        let start = self.size;
        self.size = start.checked_add(line.size).ok_or_else(|| wrong("a size past all ends"))?;
        self.pieces.push(Piece { start, size: line.size, file, offset: line.offset });
        Ok(())
    }
}

/// A text of others names no file anywhere else.
fn open(format: Format, name: &str, folder: &Path) -> io::Result<Box<dyn Disk>> {
    let mut components = Path::new(name).components();
    if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
        return Err(wrong(format!("it names {name}, which is not beside it")));
    }
    let path = folder.join(name);
    // Opening anything else might wait for ever.
    if std::fs::metadata(&path)?.file_type().is_fifo() {
        return Err(wrong(format!("{name} is no file")));
    }
    let file = Source::open(&path).map_err(|error| wrong(error.to_string()))?;
    virtual_disk::open(format, Arc::new(file)).map_err(|error| wrong(format!("{name}: {error}")))
}

impl ReadAt for Joined {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let first = self.pieces.partition_point(|piece| piece.start + piece.size <= offset);
        let (mut at, mut rest) = (offset, buf);
        for piece in self.pieces.iter().skip(first) {
            let left = piece.start + piece.size - at;
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            let (part, others) = rest.split_at_mut(len);
            match &piece.file {
                Some(file) => file.read_at(piece.offset + (at - piece.start), part)?,
                None => part.fill(0),
            }
            at += len as u64;
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl Disk for Joined {
    fn data(&self) -> io::Result<Extents> {
        let mut data = Extents::new();
        for Piece { start, size, file, offset } in &self.pieces {
            let Some(file) = file else { continue };
            for extent in file.data()?.within(*offset, offset + size) {
                data.push(start + (extent.start - offset), start + (extent.end - offset));
            }
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str, folder: &Path) -> io::Result<Joined> {
        Joined::open(&text.as_bytes().to_vec(), folder)
    }

    #[test]
    fn stretches_are_joined_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..4096_u32).map(|at| u8::try_from(at / 512 + 1).unwrap()).collect();
        std::fs::write(folder.path().join("a b-flat.vmdk"), &bytes).unwrap();
        let text = "# Disk DescriptorFile\nparentCID=ffffffff\nRW 2 FLAT \"a b-flat.vmdk\" 3\n\
                    RW 1 ZERO\nRDONLY 2 FLAT \"a b-flat.vmdk\" 0\nddb.x = \"1\"\n";
        let disk = joined(text, folder.path()).unwrap();
        let sectors: Vec<u8> =
            disk.read_vec(0, 5 * 512).unwrap().chunks(512).map(|it| it[0]).collect();
        assert_eq!(sectors, [4, 5, 0, 1, 2]);
        assert_eq!(disk.read_vec(511, 1026).unwrap()[..2], [4, 5]);
        assert!(disk.read_vec(5 * 512, 1).is_err());
        assert_eq!(disk.data().unwrap().total(), 4 * 512);
    }

    #[test]
    fn what_is_elsewhere_or_missing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [0; 512]).unwrap();
        for (text, why) in [
            ("RW 1 FLAT \"/etc/passwd\" 0", "which is not beside it"),
            ("RW 1 FLAT \"../a\" 0", "which is not beside it"),
            ("RW 1 FLAT \"b\" 0", "No such file"),
            ("RW 2 FLAT \"a\" 0", "a is cut short"),
            ("RW 1 VMFSSPARSE \"a\"", "kind VMFSSPARSE"),
            ("parentCID=12\nRW 1 FLAT \"a\" 0", "differs from another"),
            ("", "names no file"),
        ] {
            let error = joined(text, folder.path()).err().unwrap().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
