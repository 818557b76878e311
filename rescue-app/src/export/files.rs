//! The files that an image is shown as: the disk, its partitions and logical volumes, and what is noted
//! of them.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes::{Extents, ReadAt, WriteAt};
use crate::image::manifest::{Manifest, Region, Stored, file_name};
use crate::image::stored::{DISK_FILE, MANIFEST_FILE};
use crate::transfer::Transfer;
use crate::volume::LogicalVolume;

/// A file, and its bytes.
pub struct ExportedFile {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub content: FileBytes,
    /// Which of them may be other than zero.
    pub data: Extents,
}

/// The bytes of a file.
pub enum FileBytes {
    /// Nobody writes to them.
    Fixed(Box<dyn ReadAt>),
    /// Programs may write to them, and make the file shorter.
    Writable {
        /// The most that the file can hold.
        bytes: Arc<dyn WriteAt>,
        /// The size that it has, bytes.
        size: AtomicU64,
    },
}

impl FileBytes {
    fn ensure_within(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64);
        let fits = end.is_some_and(|end| end <= self.size());
        if fits { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Writes to a file; past its end is [`io::ErrorKind::UnexpectedEof`].
    ///
    /// # Errors
    /// Of one that is not writable [`io::ErrorKind::ReadOnlyFilesystem`]; otherwise those of its bytes.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Self::Writable { bytes, .. } = self else {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        };
        self.ensure_within(offset, data.len())?;
        bytes.write_at(offset, data)
    }

    /// Gives a file another size. What it grows by is zero.
    ///
    /// # Errors
    /// Of one that is not writable [`io::ErrorKind::ReadOnlyFilesystem`], and beyond the most that it can hold
    /// [`io::ErrorKind::FileTooLarge`].
    pub fn set_size(&self, new: u64) -> io::Result<()> {
        let Self::Writable { bytes, size } = self else {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        };
        if new > bytes.size() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let old = size.load(Ordering::Acquire);
        if new > old {
            bytes.zero_at(old, new - old)?;
        }
        size.store(new, Ordering::Release);
        Ok(())
    }
}

impl ReadAt for FileBytes {
    fn size(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes.size(),
            Self::Writable { size, .. } => size.load(Ordering::Acquire),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.ensure_within(offset, buf.len())?;
        match self {
            Self::Fixed(bytes) => bytes.read_at(offset, buf),
            Self::Writable { bytes, .. } => bytes.read_at(offset, buf),
        }
    }
}

impl ExportedFile {
    /// A file that programs may write to.
    pub fn writable(name: &str, bytes: Arc<dyn WriteAt>) -> Self {
        let size = bytes.size();
        let content = FileBytes::Writable { bytes, size: AtomicU64::new(size) };
        Self { name: name.to_owned(), content, data: Extents::of(0, size) }
    }

    fn of_bytes(name: &str, bytes: Vec<u8>) -> Self {
        let data = Extents::of(0, bytes.len() as u64);
        Self { name: name.to_owned(), content: FileBytes::Fixed(Box::new(bytes)), data }
    }

    /// A file whose bytes are taken from the disk.
    fn of_disk(name: String, disk: &Arc<dyn ReadAt>, size: u64, pieces: Vec<Transfer>) -> Self {
        let mut data = Extents::new();
        pieces.iter().flat_map(Transfer::used_on_target).for_each(|it| data.push(it.start, it.end));
        let content = Box::new(Pieces { disk: Arc::clone(disk), size, pieces });
        Self { name, content: FileBytes::Fixed(content), data }
    }
}

/// A file put together from bytes of a disk; what none of its pieces covers is zero.
struct Pieces {
    disk: Arc<dyn ReadAt>,
    size: u64,
    /// In the order of the file.
    pieces: Vec<Transfer>,
}

impl ReadAt for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let first = self.pieces.partition_point(|piece| piece.to + piece.len <= offset);
        for piece in self.pieces.iter().skip(first).take_while(|piece| piece.to < end) {
            let (start, stop) = (piece.to.max(offset), (piece.to + piece.len).min(end));
            let within = |at: u64| usize::try_from(at - offset).map_err(io::Error::other);
            let part = buf.get_mut(within(start)?..within(stop)?);
            let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.disk.read_at(piece.from + (start - piece.to), part)?;
        }
        Ok(())
    }
}

/// A logical volume, and where its bytes lie on the disk.
pub(crate) type VolumeOnDisk = (LogicalVolume, Vec<Transfer>);

/// All of the files of an image: `disk.img`, `manifest.json`, a file for each partition that was stored
/// (`1-EFI-system.img`), and one for each of `volumes` (`group-name.img`), which come with the places
/// of their bytes on the disk.
pub(crate) fn files(
    manifest: &Manifest,
    disk: &Arc<dyn ReadAt>,
    volumes: Vec<VolumeOnDisk>,
) -> Result<Vec<ExportedFile>, serde_json::Error> {
    let stored = || manifest.regions.iter().filter(|region| region.stored != Stored::Nothing);
    let mut used = Extents::new();
    stored().flat_map(|region| region.used.iter()).for_each(|it| used.push(it.start, it.end));
    let size = manifest.disk.size;
    let whole = Transfer { from: 0, to: 0, len: size, used, is_cut: false };
    let mut files = vec![
        ExportedFile::of_disk(DISK_FILE.into(), disk, size, vec![whole]),
        ExportedFile::of_bytes(MANIFEST_FILE, serde_json::to_vec_pretty(manifest)?),
    ];
    for region in stored() {
        let Some(number) = region.partition else { continue };
        let name = format!("{number}-{}.img", called(manifest, region, number));
        let used = region.used.clone();
        let whole = Transfer { from: region.start, to: 0, len: region.size, used, is_cut: false };
        files.push(ExportedFile::of_disk(name, disk, region.size, vec![whole]));
    }
    for (volume, mut pieces) in volumes {
        pieces.sort_by_key(|piece| piece.to);
        let name = format!("{}-{}.img", file_name(&volume.group), file_name(&volume.name));
        files.push(ExportedFile::of_disk(name, disk, volume.size, pieces));
    }
    unique(&mut files);
    Ok(files)
}

/// What a partition is called: its label, its own name, or what its type says.
fn called(manifest: &Manifest, region: &Region, number: u32) -> String {
    let partition = manifest.table.partition(number);
    let names = [
        region.filesystem.as_ref().and_then(|filesystem| filesystem.label.clone()),
        partition.and_then(|partition| partition.name.clone()),
        partition.map(|partition| partition.type_name.clone()),
    ];
    let mut names = names.into_iter().flatten().map(|name| file_name(&name));
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "partition".into())
}

/// Two volumes may have names that differ only in what a file's name cannot have.
fn unique(files: &mut [ExportedFile]) {
    let mut taken = HashSet::new();
    for file in files {
        let mut count = 1u32;
        let stem = file.name.trim_end_matches(".img").to_owned();
        while !taken.insert(file.name.clone()) {
            count += 1;
            file.name = format!("{stem}-{count}.img");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_and_gaps_are_zero() {
        let disk: Arc<dyn ReadAt> = Arc::new((0..100).collect::<Vec<u8>>());
        let piece = |from, to, len| {
            let used = Extents::of(from, from + len);
            Transfer { from, to, len, used, is_cut: false }
        };
        let pieces = vec![piece(50, 0, 10), piece(10, 10, 5), piece(90, 20, 10)];
        let file = ExportedFile::of_disk("x".into(), &disk, 40, pieces);
        let mut expected: Vec<u8> = (50..60).chain(10..15).collect();
        expected.extend([0; 5]);
        expected.extend(90..100);
        expected.extend([0; 10]);
        assert_eq!(file.content.read_vec(0, 40).unwrap(), expected);
        assert_eq!(file.content.read_vec(8, 14).unwrap(), expected[8..22]);
        assert!(file.content.read_vec(30, 11).is_err());
        let data: Vec<(u64, u64)> = file.data.iter().map(|it| (it.start, it.end)).collect();
        assert_eq!(data, [(0, 15), (20, 30)]);
    }
}
