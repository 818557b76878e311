//! Files and folders.
//!
//! Source: ntfs-3g `include/ntfs-3g/layout.h` (`FILE_ATTR_FLAGS`, `STANDARD_INFORMATION`); MS-FSCC,
//! 2.1.2 (reparse points).

use std::ops::ControlFlow;

use super::boot_sector::BootSector;
use super::content;
use super::directory::{self, DOS, Entry, ROOT};
use super::master::Master;
use super::owners::FIRST_FREE;
use super::record::{Record, kind};
use super::reparse::{OTHER_NAME, Reparse};
use super::stream;
use crate::bytes::{Extent, ReadAt, le32, le64};
use crate::volume::probe::byte;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EachPlace, EntryKind, FileError, FileId, FileTree, FolderEntry,
    Kind, Scrutiny, Stat, Times, times,
};

/// `FILE_ATTR_REPARSE_POINT`: something else stands here, of the kind that its tag tells.
const REPARSE_POINT: u32 = 0x400;
/// `FILE_ATTR_I30_INDEX_PRESENT`: a folder.
const FOLDER: u32 = 0x1000_0000;

/// The files of a volume, by their file records.
pub(super) struct Files<'a>(Master<'a>);

impl<'a> Files<'a> {
    /// Fails when `$MFT` is damaged. Files are the same whether the volume was closed or not: Linux
    /// does not replay the log either.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
        let boot = BootSector::parse(&sector);
        let boot = boot.ok_or_else(|| Doubt::because("its boot sector makes no sense"))?;
        if scrutiny == Scrutiny::Strict && boot.size > volume.size() {
            return Err(Doubt::larger(Kind::Ntfs, boot.size, volume.size()));
        }
        Master::open(volume, boot).map(Self)
    }

    fn reparse(&self, number: u64, record: &Record) -> Result<Option<Reparse>, Doubt> {
        match attributes(record) & REPARSE_POINT {
            0 => Ok(None),
            _ => self.0.value(number, kind::REPARSE_POINT, &[]).map(|value| Some(Reparse(value))),
        }
    }

    /// Bytes of the content, whatever was made of it.
    fn size(&self, number: u64) -> Result<u64, Doubt> {
        let size = self.0.with_attribute(number, kind::DATA, |data| {
            let resident = data.value().map(|value| value.len() as u64);
            resident.or_else(|| data.data_size())
        })?;
        Ok(size.flatten().unwrap_or(0))
    }
}

fn kind_of(entry: &Entry<'_>) -> EntryKind {
    match entry.attributes() {
        bits if bits & REPARSE_POINT != 0 && entry.reparse_tag() & OTHER_NAME != 0 => {
            EntryKind::Link
        }
        bits if bits & FOLDER != 0 => EntryKind::Folder,
        _ => EntryKind::File,
    }
}

fn attributes(record: &Record) -> u32 {
    let information = record.find(kind::STANDARD_INFORMATION, &[]);
    information.and_then(|found| le32(found.value()?, 32)).unwrap_or(0)
}

fn times_of(record: &Record) -> Times {
    let information = record.find(kind::STANDARD_INFORMATION, &[]).and_then(|found| found.value());
    let time = |at: usize| times::windows(le64(information?, at)?);
    Times { created: time(0), modified: time(8), changed: time(16), accessed: time(24) }
}

/// Names, those that are the short form of another one not counted.
fn links(record: &Record) -> u32 {
    let names = record.attributes().filter(|attribute| attribute.is(kind::FILE_NAME, &[]));
    let short = names.filter(|name| name.value().and_then(|value| byte(value, 65)) == Some(DOS));
    let short = u16::try_from(short.count()).unwrap_or(u16::MAX);
    record.links().saturating_sub(short).max(1).into()
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        FileId(ROOT, 0)
    }

    /// The filesystem's own files are left out, as the kernel does.
    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        Ok(directory::entries(&self.0, folder.0, &mut |entry| {
            if entry.record >= FIRST_FREE && !entry.is_short_name() {
                let (kind, file) = (kind_of(entry), FileId(entry.record, 0));
                each(FolderEntry { name: entry.name().as_bytes(), kind, file });
            }
            ControlFlow::Continue(())
        })?)
    }

    /// A name in another case counts too, where none is exactly this one: Windows names its own
    /// files now so, now so.
    fn lookup(
        &self,
        folder: FileId,
        name: &[u8],
    ) -> Result<Option<(FileId, EntryKind)>, FileError> {
        let mut found = None;
        let read = directory::entries(&self.0, folder.0, &mut |entry| {
            let other = entry.name();
            let is_exact = other.as_bytes() == name;
            if is_exact || found.is_none() && other.as_bytes().eq_ignore_ascii_case(name) {
                found = Some((FileId(entry.record, 0), kind_of(entry)));
            }
            if is_exact { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if found.is_some() { Ok(found) } else { Ok(read.map(|()| None)?) }
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        let record = self.0.record(file.0)?;
        let is_link = self.reparse(file.0, &record)?.is_some_and(|reparse| reparse.is_name());
        let (kind, size) = match (is_link, record.is_folder()) {
            (true, _) => (EntryKind::Link, 0),
            (_, true) => (EntryKind::Folder, 0),
            _ => (EntryKind::File, self.size(file.0)?),
        };
        Ok(Stat {
            kind,
            size,
            links: links(&record),
            times: times_of(&record),
            permissions: None,
            attributes: Some(attributes(&record)),
        })
    }

    fn link_target(&self, link: FileId) -> Result<Vec<u8>, FileError> {
        let record = self.0.record(link.0)?;
        let reparse = self.reparse(link.0, &record)?.filter(Reparse::is_name);
        reparse.ok_or_else(FileError::no_link)?.target()
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        let record = self.0.record(file.0)?;
        if record.is_folder() {
            return Err(FileError::no_file());
        }
        if let Some(reparse) = self.reparse(file.0, &record)? {
            reparse.check_content(attributes(&record))?;
        }
        content::open(&self.0, file.0)
    }

    fn content_places(&self, file: FileId, each: &mut EachPlace<'_>) -> Result<(), FileError> {
        // Refuses what is no plain file, and what is encrypted.
        self.open(file)?;
        let content = self.0.content(file.0)?;
        if content.unit().is_some() {
            return Err(FileError::unsupported("it is compressed"));
        }
        content.content_places().for_each(|(at, place)| each(at, place));
        Ok(())
    }

    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let unit = u64::from(self.0.boot.cluster_size);
        let base = self.0.record(file.0)?;
        let more = self.0.extensions(&base, file.0);
        for record in std::iter::once(&base).chain(more.as_deref().unwrap_or_default()) {
            let places = record
                .attributes()
                .flat_map(|attribute| stream::places(attribute, self.0.boot.clusters()));
            for (lcn, len) in places {
                let start = lcn.saturating_mul(unit);
                each(Extent { start, end: start.saturating_add(len.saturating_mul(unit)) });
            }
        }
        more.map(drop).map_err(Into::into)
    }
}
