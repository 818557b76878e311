//! Where the bytes of the medium come from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bytes::{ReadAt, Window};
use crate::console;
use crate::disk::{Source, Sysfs};
use crate::inspect;
use crate::operation::error::OperationError;
use crate::table::STICK_DATA_START;
use crate::volume::Kind;

/// What the volume id of every Lifeboat medium begins with (`scripts/assemble-iso`).
const NAME: &str = "LIFEBOAT";

/// How long the drive with the running medium is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// An ISO of Lifeboat: a file, or the start of a stick or disc that it was written to.
#[derive(Debug)]
pub(super) struct Iso {
    source: Source,
    /// Bytes of it.
    pub(super) size: u64,
    /// Its volume id, which tells one build from another.
    pub(super) volume_id: String,
}

impl Iso {
    /// That of the medium Lifeboat was started from.
    pub(super) fn of_medium() -> Result<Self, OperationError> {
        let medium = Sysfs::host().medium(PATIENCE).ok_or_else(|| {
            OperationError::refused(
                "there is no medium that Lifeboat was started from to copy",
                "name the file: --iso lifeboat.iso",
            )
        })?;
        Self::open(&medium)
    }

    /// That in the file or on the device at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, OperationError> {
        let source = Source::open(path)?;
        let refused = |why: &str| {
            let why = format!("{} {why}", console::path(path));
            OperationError::refused(why, "name an ISO of Lifeboat, or the file lifeboat.iso anew")
        };
        let reading = |error| OperationError::io(format!("reading {}", console::path(path)), error);
        let found = inspect::recognise(&Window::new(&source, 0, source.size())).map_err(reading)?;
        let found = found.filter(|found| found.kind == Kind::Iso9660);
        let id = found.as_ref().and_then(|found| found.label.clone()).unwrap_or_default();
        let Some(found) = found.filter(|_| id.starts_with(NAME)) else {
            return Err(refused("is no ISO of Lifeboat"));
        };
        if found.size > source.size() {
            return Err(refused("is cut off: it holds less than its volume descriptor says"));
        }
        if found.size > STICK_DATA_START {
            return Err(refused("is larger than the 256 MiB that a stick has for it"));
        }
        Ok(Self { source, size: found.size, volume_id: id })
    }

    /// Where it is read from.
    pub(super) fn path(&self) -> PathBuf {
        self.source.path().to_owned()
    }
}

impl ReadAt for Iso {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        Window::new(&self.source, 0, self.size).read_at(offset, buf)
    }
}
