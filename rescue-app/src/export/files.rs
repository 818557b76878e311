//! The files that an image is shown as: the disk, its partitions and logical volumes, and what is noted
//! of them.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bytes::{Extent, Extents, ReadAt, WriteAt};
use crate::image::manifest::{Manifest, Region, Stored, file_name};
use crate::image::stored::{DISK_FILE, MANIFEST_FILE};
use crate::transfer::Transfer;
use crate::volume::LogicalVolume;

use super::pieces::Pieces;

/// Bytes of a file on a layer that can be written are looked through this far at once for data, so that
/// what was written is not gathered for the whole file each time.
const LOOK: u64 = 16 << 20;

/// A file, and its bytes.
pub struct ExportedFile {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub content: FileBytes,
    /// Which of them may be other than zero, as long as nothing is written.
    pub data: Extents,
}

/// The bytes of a file.
pub enum FileBytes {
    /// Nobody writes to them.
    Fixed(Box<dyn ReadAt>),
    /// Programs may write to them, and make the file shorter and longer again.
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

    /// Where they are written, if they can be: the most that the file can hold.
    pub fn writable(&self) -> Option<&dyn WriteAt> {
        match self {
            Self::Fixed(_) => None,
            Self::Writable { bytes, .. } => Some(bytes.as_ref()),
        }
    }

    /// Writes to a file, which grows by what is written past its end.
    ///
    /// # Errors
    /// Of one that is not writable [`io::ErrorKind::ReadOnlyFilesystem`], and beyond the most that it can hold
    /// [`io::ErrorKind::FileTooLarge`]; otherwise those of its bytes.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Self::Writable { bytes, size } = self else {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        };
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= bytes.size());
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        if offset > self.size() {
            self.set_size(offset)?;
        }
        bytes.write_at(offset, data)?;
        size.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Makes bytes of a file zero, as far as it goes.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn zero_at(&self, offset: u64, len: u64) -> io::Result<()> {
        let bytes = self.writable().ok_or(io::ErrorKind::ReadOnlyFilesystem)?;
        let end = offset.saturating_add(len).min(self.size());
        bytes.zero_at(offset.min(end), end.saturating_sub(offset))
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

/// The disk that files are taken from.
pub(crate) enum ExportedDisk {
    /// To be read only.
    ReadOnly(Arc<dyn ReadAt>),
    /// To be written too, by way of any of the files.
    Writable(Arc<dyn WriteAt>),
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
    fn of_disk(name: String, disk: &ExportedDisk, size: u64, pieces: Vec<Transfer>) -> Self {
        let mut data = Extents::new();
        pieces.iter().flat_map(Transfer::used_on_target).for_each(|it| data.push(it.start, it.end));
        let content = match disk {
            ExportedDisk::ReadOnly(disk) => {
                FileBytes::Fixed(Box::new(Pieces { disk: Arc::clone(disk), size, pieces }))
            }
            ExportedDisk::Writable(disk) => {
                let bytes = Arc::new(Pieces { disk: Arc::clone(disk), size, pieces });
                FileBytes::Writable { bytes, size: AtomicU64::new(size) }
            }
        };
        Self { name, content, data }
    }

    /// Fills `buf` from byte `offset`: of holes nothing is decoded.
    ///
    /// # Errors
    /// Those of reading; [`io::ErrorKind::UnexpectedEof`] beyond the end.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.content.size());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let within = |at: u64| usize::try_from(at - offset).map_err(io::Error::other);
        let mut zero_from = 0;
        for data in self.data_within(offset, end).iter() {
            let (start, stop) = (within(data.start)?, within(data.end)?);
            buf.get_mut(zero_from..start).unwrap_or_default().fill(0);
            let part = buf.get_mut(start..stop).ok_or(io::ErrorKind::UnexpectedEof)?;
            self.content.read_at(data.start, part)?;
            zero_from = stop;
        }
        buf.get_mut(zero_from..).unwrap_or_default().fill(0);
        Ok(())
    }

    /// What of `start..end` may be other than zero.
    pub fn data_within(&self, start: u64, end: u64) -> Extents {
        let mut before = Extents::new();
        self.data.within(start, end).for_each(|it| before.push(it.start, it.end));
        match self.content.writable() {
            Some(layer) => layer.changes_within(start, end).over(&before),
            None => before,
        }
    }

    /// The first bytes at or after `offset` that may be other than zero, up to the next that are zero.
    pub fn next_data(&self, offset: u64) -> Option<Extent> {
        let size = self.content.size();
        if self.content.writable().is_none() {
            return self.data.within(offset, size).next();
        }
        let (mut at, mut found) = (offset, None::<Extent>);
        while at < size {
            let end = at.saturating_add(LOOK).min(size);
            for data in self.data_within(at, end).iter() {
                match &mut found {
                    None => found = Some(data),
                    Some(found) if found.end == data.start => found.end = data.end,
                    Some(found) => return Some(*found),
                }
            }
            if found.is_some_and(|found| found.end < end) {
                break;
            }
            at = end;
        }
        found
    }
}

/// A logical volume, and where its bytes lie on the disk.
pub(crate) type VolumeOnDisk = (LogicalVolume, Vec<Transfer>);

/// All of the files of an image: `disk.img`, `manifest.json`, a file for each partition that was stored
/// (`1-EFI-system.img`), and one for each of `volumes` (`group-name.img`), which come with the places
/// of their bytes on the disk.
pub(crate) fn files(
    manifest: &Manifest,
    disk: &ExportedDisk,
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
    use crate::bytes::{OVERLAY_BLOCK, Overlay, OverlayRoom};

    #[test]
    fn data_is_what_was_used_or_written_and_is_not_zero_again() {
        let size = 3 * LOOK;
        let base = vec![0; usize::try_from(size).unwrap()];
        let room = OverlayRoom { memory: size, folder: None };
        let disk = ExportedDisk::Writable(Arc::new(Overlay::new(base, room)));
        let used = Extents::of(LOOK, LOOK + 100);
        let whole = Transfer { from: 0, to: 0, len: size, used, is_cut: false };
        let file = ExportedFile::of_disk("x".into(), &disk, size, vec![whole]);
        let next = |at| file.next_data(at).map(|it| (it.start, it.end));
        assert_eq!(next(5), Some((LOOK, LOOK + 100)));
        let layer = file.content.writable().unwrap();
        layer.write_at(2 * LOOK - 1, &[1, 1]).unwrap();
        assert_eq!(next(LOOK + 1), Some((LOOK + 1, LOOK + 100)));
        let written = (2 * LOOK - OVERLAY_BLOCK, 2 * LOOK + OVERLAY_BLOCK);
        assert_eq!(next(LOOK + 100), Some(written));
        layer.zero_at(LOOK, OVERLAY_BLOCK).unwrap();
        assert_eq!(next(0), Some(written));
        assert_eq!(next(written.1), None);
        // Holes are zero whatever was in the buffer.
        let mut buf = vec![5; usize::try_from(2 * OVERLAY_BLOCK).unwrap()];
        file.read_at(2 * LOOK - OVERLAY_BLOCK / 2, &mut buf).unwrap();
        let others: Vec<usize> = (0..buf.len()).filter(|at| buf[*at] != 0).collect();
        let middle = usize::try_from(OVERLAY_BLOCK / 2).unwrap();
        assert_eq!(others, [middle - 1, middle]);
        assert!(file.read_at(size - 1, &mut [0; 2]).is_err());
    }

    #[test]
    fn a_file_that_was_made_shorter_grows_with_zeros_up_to_what_it_was() {
        let room = OverlayRoom { memory: 1 << 20, folder: None };
        let bytes = Arc::new(Overlay::new(vec![9u8; 1000], room));
        let file = ExportedFile::writable("x", bytes).content;
        file.set_size(100).unwrap();
        assert!(file.read_vec(99, 2).is_err());
        file.write_at(200, &[1]).unwrap();
        assert_eq!((file.size(), file.read_vec(99, 3).unwrap()), (201, vec![9, 0, 0]));
        assert_eq!(file.read_vec(199, 2).unwrap(), [0, 1]);
        file.write_at(999, &[1]).unwrap();
        let beyond = file.write_at(999, &[1, 1]).unwrap_err();
        assert_eq!((beyond.kind(), file.size()), (io::ErrorKind::FileTooLarge, 1000));
        file.zero_at(999, 5).unwrap();
        assert_eq!(file.read_vec(999, 1).unwrap(), [0]);
    }
}
