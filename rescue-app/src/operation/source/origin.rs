//! What was named as the disk to read, and the disk that is read: the same, unless it is a file or folder
//! that holds the disk in a form of its own.

use std::sync::Arc;

use crate::disk::{self, Agreement, Disk, Source};
use crate::import::{self, Folder, Imported, Workshop};
use crate::operation::error::OperationError;
use crate::operation::guard;

use super::SourceRequest;

/// What is at the path that was named, as it was when it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    disk: Disk,
    /// Open and claimed for as long as the plan counts.
    source: Arc<Source>,
    /// What tells it from another disk, and its first and last sectors.
    agreement: Agreement,
}

/// The disk that is read.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) source: Arc<Source>,
    /// How it was found, where it is no disk as it stands.
    pub(super) imported: Option<Imported>,
    /// What was named; of a folder nothing is read any more.
    pub(super) origin: Option<Origin>,
}

impl Opened {
    /// Opens what a request names, if it is free to be read; `is_allowed` are the rules that the use of it brings.
    pub(super) fn find(
        request: &SourceRequest,
        is_allowed: impl FnOnce(&Disk) -> Result<(), OperationError>,
        workshop: Workshop<'_>,
    ) -> Result<Self, OperationError> {
        if let Some(folder) = Folder::find(&request.disk)? {
            return Self::of_folder(&folder, is_allowed, workshop);
        }
        let disk = disk::open(&request.disk, request.sector_size)?;
        is_allowed(&disk)?;
        guard::source_is_free(&disk, request.in_use)?;
        let source = Arc::new(guard::open_source(&disk, request.in_use)?);
        let agreement = Agreement::on(&disk, &source)?;
        let origin = Some(Origin { disk: disk.clone(), source: Arc::clone(&source), agreement });
        let imported = import::open(&disk, Arc::clone(&source), workshop)?;
        let Some(found) = imported else {
            source.advise_sequential();
            return Ok(Self { disk, source, imported: None, origin });
        };
        let disk = found.disk(disk, request.sector_size);
        let source = Arc::new(Source::showing(Arc::clone(&found.view), &disk.path)?);
        Ok(Self { disk, source, imported: Some(found), origin })
    }

    fn of_folder(
        folder: &Folder,
        is_allowed: impl FnOnce(&Disk) -> Result<(), OperationError>,
        workshop: Workshop<'_>,
    ) -> Result<Self, OperationError> {
        let mut disk = Disk::of_folder(&folder.path, folder.name());
        is_allowed(&disk)?;
        let found = folder.open(workshop)?;
        disk = found.disk(disk, None);
        let source = Arc::new(Source::showing(Arc::clone(&found.view), &disk.path)?);
        Ok(Self { disk, source, imported: Some(found), origin: None })
    }
}

impl Origin {
    /// Refuses what is not as it was, or is in use by now.
    pub(super) fn still_holds(&self, in_use: bool) -> Result<(), OperationError> {
        self.agreement.refuse_another(&Agreement::on(&self.disk, &self.source)?)?;
        let now = disk::open(&self.disk.path, Some(self.disk.logical_sector))?;
        guard::source_is_free(&now, in_use)
    }
}
