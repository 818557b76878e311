//! One read at a time: telling a bad sector from a disk that is gone.

use std::io;

use crate::bytes::Extent;
use crate::progress::Reporter;
use crate::transfer::TransferError;

use super::medium::Medium;

/// Linux errno values of a medium that cannot deliver, as `blk_status_to_errno` in
/// block/blk-core.c sets them: EIO, ENODATA (SCSI medium error), ENOLINK (transport), EILSEQ
/// (protection information), ETIMEDOUT, EREMOTEIO (target failure).
const MEDIUM_ERRORS: [i32; 6] = [5, 61, 67, 84, 110, 121];

/// After so many failures in a row, places that should be readable are asked.
const DOUBTFUL: u32 = 32;

/// Reads from a disk.
pub(super) struct Prober<'a> {
    pub(super) medium: &'a dyn Medium,
    pub(super) sector: u64,
    pub(super) reporter: &'a Reporter<'a>,
    /// A read has failed: from now on no read may fail because of a neighbour.
    pub(super) suspect: bool,
    failures: u32,
    first_good: u64,
    last_good: u64,
}

impl<'a> Prober<'a> {
    pub(super) fn new(medium: &'a dyn Medium, sector: u64, reporter: &'a Reporter<'a>) -> Self {
        let (suspect, failures, first_good, last_good) = (false, 0, 0, 0);
        Self { medium, sector, reporter, suspect, failures, first_good, last_good }
    }

    /// Reads `range`; the error number when the medium cannot deliver it.
    pub(super) fn read(
        &mut self,
        range: Extent,
        into: &mut [u8],
    ) -> Result<Option<i32>, TransferError> {
        self.reporter.check_cancel()?;
        let read = match self.suspect {
            false => self.medium.read(range.start, into),
            true => self.medium.read_exactly(range.start, into),
        };
        let Err(error) = read else {
            self.failures = 0;
            self.last_good = range.start;
            if self.first_good == 0 {
                self.first_good = range.start;
            }
            return Ok(None);
        };
        if self.medium.is_gone() {
            return Err(gone(range.start, error));
        }
        match error.raw_os_error().filter(|errno| MEDIUM_ERRORS.contains(errno)) {
            None if is_absence(&error) => Err(gone(range.start, error)),
            None => {
                Err(TransferError::io(format!("reading the source at byte {}", range.start), error))
            }
            Some(errno) => {
                self.suspect = true;
                self.failures += 1;
                if self.failures.is_multiple_of(DOUBTFUL) && self.is_silent() {
                    return Err(gone(range.start, error));
                }
                Ok(Some(errno))
            }
        }
    }

    /// Whether nothing can be read any more, not even where it could before.
    fn is_silent(&self) -> bool {
        let size = self.medium.size();
        let mut sector = vec![0; usize::try_from(self.sector).unwrap_or(512)];
        let places = [self.first_good, self.last_good, 0, size / 2, size];
        places.into_iter().all(|place| {
            let at = place.min(size.saturating_sub(self.sector));
            self.medium.read_exactly(at - at % self.sector, &mut sector).is_err()
        })
    }
}

/// ENXIO, ENODEV, ENOMEDIUM.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(6 | 19 | 123))
}

fn gone(at: u64, source: io::Error) -> TransferError {
    TransferError::SourceGone { at, source }
}
