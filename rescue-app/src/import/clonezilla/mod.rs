//! Folders that Clonezilla made of disks: tables as text and as bytes, and a file for each filesystem.
//!
//! Sources: Clonezilla's `scripts/sbin/ocs-functions` (`task_savedisk`, `save_part_table_mbr_dm_info`,
//! `save_part_by_partclone`), and folders that Clonezilla 5.9.9 made. The disk is put together in a scratch file: its table,
//! what lies in front of its first partition, and what each partition holds. Of partitions that are in no file of their own,
//! a swap area is made anew and others stay zero, which is said.

mod files;
mod layout;
mod swap;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{self, Held, Target};
use super::error::ImportError;
use super::scratch::{NTFS, Scratch};
use super::{Imported, UnpackedIn, Workshop};
use crate::console;
use crate::progress::{Phase, Reporter};
use crate::table;
use files::Files;
use layout::{Layout, Part};

/// Bytes of the text files that are looked at.
const MOST_TEXT: u64 = 4 << 20;
/// Bytes of the files that hold what lies in front of the first partition, at most (`ocs-functions` saves no more).
const MOST_HIDDEN: u64 = 1 << 30;
/// What ends the names of files with a table as `sfdisk` writes it.
const TABLE: &str = "-pt.sf";

/// A disk in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// The disk's name in it: "sda".
    pub disk: String,
}

impl Folder {
    /// The disk that is named as a folder with one disk in it, or as `FOLDER/sda`; `None` for all else.
    ///
    /// # Errors
    /// Refuses a folder with several disks, naming them; the system's answer to reading it.
    pub fn find(path: &Path) -> Result<Option<Self>, ImportError> {
        if path.is_dir() {
            let mut disks = disks(path)?;
            return match (disks.len(), disks.pop()) {
                (1, Some(disk)) => Ok(Some(Self { path: real(path)?, disk })),
                (0, _) | (_, None) => Ok(None),
                (_, Some(last)) => {
                    let first = disks.first().cloned().unwrap_or_default();
                    disks.push(last);
                    Err(ImportError::refused(
                        format!(
                            "{} holds {} disks: {}",
                            console::path(path),
                            disks.len(),
                            disks.join(", ")
                        ),
                        format!("name one of them, as in {}", console::path(path.join(first))),
                    ))
                }
            };
        }
        let (Some(folder), Some(disk)) =
            (path.parent(), path.file_name().and_then(|it| it.to_str()))
        else {
            return Ok(None);
        };
        if path.exists() || !folder.join(format!("{disk}{TABLE}")).is_file() {
            return Ok(None);
        }
        Ok(Some(Self { path: real(folder)?, disk: disk.to_owned() }))
    }

    /// What the disk is called: the folder's name and its own.
    pub fn name(&self) -> String {
        let folder = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{} {}", folder.unwrap_or_default(), self.disk)
    }

    /// Puts the disk together.
    ///
    /// # Errors
    /// For a folder that is not complete or holds what is not read, and files that are damaged or cut short.
    pub fn open(&self, workshop: Workshop<'_>) -> Result<Imported, ImportError> {
        let scratch = workshop.scratch.ok_or_else(|| {
            ImportError::refused(
                format!(
                    "{} is an image of Clonezilla, which has to be unpacked",
                    console::path(&self.path)
                ),
                "name a folder with room for what the disk holds: --scratch DIR",
            )
        })?;
        let files = Files::list(&self.path)?;
        let layout = Layout::read(self)?;
        self.refuse_others(&layout)?;
        let parts: Vec<&Part> = layout.parts.iter().filter(|part| !part.is_extended()).collect();
        let total = parts.iter().map(|part| files.bytes_of(&part.name)).sum();
        let reporter = Reporter::start(workshop.control, Phase::Unpacking, total, 0);
        let mut disk = Scratch::new(scratch)?;
        let (mut remarks, mut held) = (Vec::new(), Vec::new());
        self.put_table(&layout, &mut disk)?;
        for part in parts {
            let what = self.put_part(part, &layout, &files, (&mut disk, &reporter))?;
            match what {
                Some(what) => {
                    held.push(format!("{} {}", part.name, what.filesystem).trim_end().to_owned());
                    remarks.extend(what.remarks);
                }
                None => remarks.push(format!(
                    "{} is not in the image of Clonezilla: it reads as zeros",
                    part.name
                )),
            }
        }
        disk.finish(layout.size)?;
        put_second_table(&layout, &mut disk)?;
        reporter.finish();
        let unpacked = Some(UnpackedIn { folder: scratch.to_owned(), bytes: disk.written() });
        let form = format!("Clonezilla image of {} ({})", self.disk, held.join(", "));
        let sector_size = Some(layout.sector);
        let new = Imported::new(Arc::new(disk), form);
        Ok(Imported { sector_size, unpacked, remarks, ..new })
    }

    /// The bytes of a small file of the disk; `None` where there is none.
    fn bytes(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, ImportError> {
        let path = self.path.join(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ImportError::reading(&path)(error)),
            Ok(meta) if meta.len() > most => {
                let why = format!("it has {} bytes, more than any", meta.len());
                return Err(ImportError::Damaged { file: path, at: most, why });
            }
            Ok(meta) if !meta.is_file() => return Err(self.lacks(name)),
            Ok(_) => {}
        }
        fs::read(&path).map(Some).map_err(ImportError::reading(&path))
    }

    fn text(&self, name: &str) -> Result<Option<String>, ImportError> {
        let bytes = self.bytes(name, MOST_TEXT)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Of physical volumes and LUKS containers Clonezilla keeps what is in them, not themselves.
    fn refuse_others(&self, layout: &Layout) -> Result<(), ImportError> {
        for (list, field, what) in [
            ("lvm_vg_dev.list", 1, "a physical volume of LVM"),
            ("luks-dev.list", 0, "a LUKS container"),
        ] {
            let text = self.text(list)?.unwrap_or_default();
            let devices = text.lines().filter(|line| !line.starts_with('#'));
            let devices = devices.filter_map(|line| line.split_whitespace().nth(field));
            let hit = devices.map(short_name).find(|name| layout.part(name).is_some());
            if let Some(name) = hit {
                return Err(ImportError::refused(
                    format!(
                        "{name} is {what}, of which an image of Clonezilla holds only what is in it"
                    ),
                    "restore it with Clonezilla, and capture that disk",
                ));
            }
        }
        Ok(())
    }

    /// What lies in front of the first partition, and in extended ones.
    fn put_table(&self, layout: &Layout, disk: &mut Scratch) -> Result<(), ImportError> {
        let name = |end: &str| format!("{}-{end}", self.disk);
        if layout.is_gpt {
            let first = self.bytes(&name("gpt-1st"), MOST_TEXT)?;
            return disk.put(0, &first.ok_or_else(|| self.lacks(&name("gpt-1st")))?);
        }
        let mut start = self.bytes(&name("mbr"), 512)?.ok_or_else(|| self.lacks(&name("mbr")))?;
        start.extend(self.bytes(&name("hidden-data-after-mbr"), MOST_HIDDEN)?.unwrap_or_default());
        let first = layout.parts.iter().map(|part| part.start).min().unwrap_or(layout.size);
        start.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        disk.put(0, &start)?;
        let Some((frame, records)) = layout.extended()? else { return Ok(()) };
        let boot_code = self.bytes(&format!("{}-ebr", frame.name), 512)?;
        for mut record in records {
            if let Some(code) = boot_code.as_ref().filter(|_| record.offset == frame.start) {
                let code = code.iter().take(446);
                record.bytes.iter_mut().zip(code).for_each(|(to, from)| *to = *from);
            }
            disk.put(record.offset, &record.bytes)?;
        }
        Ok(())
    }

    fn lacks(&self, name: &str) -> ImportError {
        ImportError::refused(
            format!("{} lacks the file {name}", console::path(&self.path)),
            "copy the image of Clonezilla anew, with all of its files",
        )
    }

    /// What a partition holds; `None` when that is in no file.
    fn put_part(
        &self,
        part: &Part,
        layout: &Layout,
        files: &Files,
        (disk, reporter): (&mut Scratch, &Reporter<'_>),
    ) -> Result<Option<Held>, ImportError> {
        let room = part.size.min(layout.size.saturating_sub(part.start));
        if let Some(found) = files.of(&part.name)? {
            let target = Target { disk, start: part.start, room };
            let held = content::put(found.paths, found.packing, target, reporter)?;
            if held.filesystem == NTFS {
                disk.copy_boot_sector(part.start, room)?;
            }
            return Ok(Some(held));
        }
        if let Some(info) = self.text(&format!("swappt-{}.info", part.name))? {
            for (at, bytes) in swap::header(&info, part.size) {
                disk.put(part.start + at, &bytes)?;
            }
            return Ok(Some(Held {
                filesystem: "swap".into(),
                size: part.size,
                ..Held::default()
            }));
        }
        let listed = self.text("parts")?.unwrap_or_default();
        match listed.split_whitespace().any(|name| name == part.name) {
            true => Err(self.lacks(&format!("{}.…-img", part.name))),
            false => Ok(None),
        }
    }
}

/// The copy of a GPT at the end of the disk, of which Clonezilla keeps a part only.
fn put_second_table(layout: &Layout, disk: &mut Scratch) -> Result<(), ImportError> {
    if !layout.is_gpt {
        return Ok(());
    }
    let wrong = |error: table::TableError| {
        ImportError::refused(
            format!("the partition table in the image of Clonezilla is not read: {error}"),
            "restore it with Clonezilla, and capture that disk",
        )
    };
    let found = table::read(disk, layout.sector).map_err(wrong)?;
    let patches = table::fit_to_disk(disk, &found, layout.size, true).map_err(wrong)?;
    patches.iter().try_for_each(|patch| disk.put(patch.offset, &patch.bytes))
}

/// The names of the disks in a folder.
fn disks(folder: &Path) -> Result<Vec<String>, ImportError> {
    let entries = fs::read_dir(folder).map_err(ImportError::reading(folder))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut disks: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(TABLE)?.to_owned())).collect();
    disks.sort();
    Ok(disks)
}

fn real(path: &Path) -> Result<PathBuf, ImportError> {
    path.canonicalize().map_err(ImportError::reading(path))
}

/// A device as the names of files have it: "/dev/cciss/c0d0p1" is "cciss-c0d0p1".
fn short_name(device: &str) -> String {
    device.strip_prefix("/dev/").unwrap_or(device).replace('/', "-")
}
