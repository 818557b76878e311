//! Files and folders.

use std::cell::{RefCell, RefMut};

use super::ENTRY;
use super::boot_sector::BootSector;
use super::directory::{self, Details};
use super::table::Chains;
use crate::bytes::{Extent, ReadAt};
use crate::volume::runs::Runs;
use crate::volume::{
    Doubt, EachEntry, EachExtent, EntryKind, FileError, FileId, FileTree, FolderEntry, Scrutiny,
    Stat, Times,
};

/// The root directory: no entry lies in the boot sector.
const ROOT: FileId = FileId(0, 0);

/// The files of a volume, by the places of their entries.
pub(super) struct Files<'a> {
    volume: &'a dyn ReadAt,
    boot: BootSector,
    chains: RefCell<Chains<'a>>,
    scrutiny: Scrutiny,
}

/// What is known of a file or folder.
struct Known {
    /// The first cluster; `None` where there is none.
    cluster: Option<u32>,
    /// Bytes, of files.
    size: u32,
    /// `None` of the root.
    details: Option<Details>,
}

impl Known {
    fn is_folder(&self) -> bool {
        self.details.as_ref().is_none_or(Details::is_folder)
    }
}

impl<'a> Files<'a> {
    /// Strictly read are none where the root directory makes no sense.
    pub(super) fn open(volume: &'a dyn ReadAt, scrutiny: Scrutiny) -> Result<Self, Doubt> {
        let sector = volume.read_vec(0, 512).map_err(Doubt::reading("the boot sector"))?;
        let boot = BootSector::parse(&sector);
        let boot = boot.ok_or_else(|| Doubt::because("its boot sector makes no sense"))?;
        if scrutiny == Scrutiny::Strict {
            boot.check_root()?;
            directory::check_root(volume, &boot)?;
        }
        let chains = RefCell::new(Chains::new(volume, &boot)?);
        Ok(Self { volume, boot, chains, scrutiny })
    }

    /// What is in front of the data.
    pub(super) fn own(&self) -> Extent {
        Extent { start: 0, end: self.boot.data() }
    }

    /// The chains. A look at all of a damaged volume has a bound for all of it, a person's
    /// questions each have their own.
    fn chains(&self) -> RefMut<'_, Chains<'a>> {
        let mut chains = self.chains.borrow_mut();
        if self.scrutiny == Scrutiny::Strict {
            chains.allow_steps();
        }
        chains
    }

    fn known(&self, file: FileId) -> Result<Known, FileError> {
        if file == ROOT {
            return Ok(Known { cluster: directory::root(&self.boot), size: 0, details: None });
        }
        let bytes = self.volume.read_vec(file.0, ENTRY);
        let bytes = bytes.map_err(|source| FileError::Read { what: "an entry", source })?;
        let details = Details::parse(&bytes, self.boot.kind);
        let details = details.ok_or_else(|| FileError::damaged("its entry makes no sense"))?;
        let cluster = Some(details.cluster).filter(|cluster| *cluster != 0);
        Ok(Known { cluster, size: details.size, details: Some(details) })
    }

    /// Calls `each` for the places of a chain's clusters, until it says no; whether it was followed
    /// to its end.
    fn clusters(&self, known: &Known, each: &mut dyn FnMut(u64) -> bool) -> bool {
        let Some(first) = known.cluster else { return true };
        self.chains().follow(first, |cluster| each(self.boot.cluster(cluster)))
    }

    fn unit(&self) -> u64 {
        self.boot.cluster_size.into()
    }
}

fn no_chain() -> FileError {
    FileError::damaged("the chain of its clusters is cut short or leads nowhere")
}

impl FileTree for Files<'_> {
    fn root(&self) -> FileId {
        ROOT
    }

    /// An entry that ends a folder may be one of a lost sector: Linux goes on behind it.
    fn list(&self, folder: FileId, each: &mut EachEntry<'_>) -> Result<(), FileError> {
        let known = self.known(folder)?;
        if !known.is_folder() || folder != ROOT && known.cluster.is_none() {
            return Err(FileError::damaged("it is no folder, or has no clusters"));
        }
        let content = directory::read(self.volume, &self.boot, &mut self.chains(), known.cluster);
        let end = directory::until_end(&content.bytes).len();
        let mut behind = content.bytes.get(end..).unwrap_or_default().iter().step_by(ENTRY);
        let mut is_sound = content.is_all && behind.all(|first| *first == 0);
        for entry in directory::entries(&content.bytes, self.boot.kind) {
            let Some(place) = content.place(entry.at) else { continue };
            let kind = if entry.is_folder { EntryKind::Folder } else { EntryKind::File };
            // One without clusters would pass for the root.
            is_sound &= !entry.is_folder || entry.cluster != 0;
            each(FolderEntry { name: entry.name.as_bytes(), kind, file: FileId(place, 0) });
        }
        if is_sound {
            return Ok(());
        }
        Err(FileError::damaged("a folder makes no sense, or cannot all be read"))
    }

    fn stat(&self, file: FileId) -> Result<Stat, FileError> {
        let known = self.known(file)?;
        let kind = if known.is_folder() { EntryKind::Folder } else { EntryKind::File };
        Ok(Stat {
            kind,
            size: known.size.into(),
            links: 1,
            times: known.details.as_ref().map_or_else(Times::default, |details| details.times),
            permissions: None,
            attributes: known.details.map(|details| details.attributes.into()),
        })
    }

    fn link_target(&self, _: FileId) -> Result<Vec<u8>, FileError> {
        Err(FileError::no_link())
    }

    fn open(&self, file: FileId) -> Result<Box<dyn ReadAt + '_>, FileError> {
        let known = self.known(file)?;
        if known.is_folder() {
            return Err(FileError::no_file());
        }
        let size = u64::from(known.size);
        let (mut runs, mut at, mut fits) = (Runs::new(self.volume, size), 0u64, true);
        // A chain may be longer than its file.
        self.clusters(&known, &mut |place| {
            fits &= runs.push(at, place, self.unit()).is_some();
            at = at.saturating_add(self.unit());
            fits && at < size
        });
        if fits && at >= size { Ok(Box::new(runs)) } else { Err(no_chain()) }
    }

    /// That of the root in its own place is the filesystem's.
    fn extents(&self, file: FileId, each: &mut EachExtent<'_>) -> Result<(), FileError> {
        let known = self.known(file)?;
        let ended = self.clusters(&known, &mut |start| {
            each(Extent { start, end: start.saturating_add(self.unit()) });
            true
        });
        if ended { Ok(()) } else { Err(no_chain()) }
    }

    fn is_case_sensitive(&self) -> bool {
        false
    }

    /// The tables are not for files.
    fn free(&self, used: Option<u64>) -> Option<u64> {
        let end = self.boot.cluster(self.boot.clusters);
        end.checked_sub(self.boot.data())?.checked_sub(used?)
    }
}
