//! Whether this machine's clock can be right. Those of dead machines often are not: their battery
//! is empty, or somebody set them by hand; and what is dated wrongly is taken for older or newer
//! than it is ever after.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use time::{Duration, OffsetDateTime};

use crate::repository::{SnapshotFile, SnapshotList};

use super::error::OperationError;
use super::format;

/// A clock so far ahead of all that is known is more likely wrong than the program that old.
const AHEAD: Duration = Duration::days(5 * 365);

/// What makes the clock doubtful before an image is stored beside these.
pub(super) fn doubts(list: &SnapshotList) -> Vec<String> {
    doubts_at(OffsetDateTime::now_utc(), list.snapshots.last(), built())
}

/// When this program was built or installed: the time of its file, which the boot medium keeps.
fn built() -> Option<OffsetDateTime> {
    std::fs::metadata("/proc/self/exe").and_then(|file| file.modified()).ok().map(Into::into)
}

fn doubts_at(
    now: OffsetDateTime,
    newest: Option<&SnapshotFile>,
    built: Option<OffsetDateTime>,
) -> Vec<String> {
    let clock = format!("this machine's clock says {}", format::time(now));
    let next = "set the clock and start again, or 'latest' and rules that keep images take this \
                image for another than the newest";
    let mut doubts = Vec::new();
    if let Some(file) = newest.filter(|file| file.snapshot.time > now) {
        let (id, time) = (file.id.short(), format::time(file.snapshot.time));
        doubts.push(format!(
            "{clock}, but image {id} in the repository is dated later, {time}: one of the two \
             clocks is wrong; {next}"
        ));
    }
    if let Some(built) = built.filter(|built| *built > now) {
        let built = format::time(built);
        doubts.push(format!("{clock}, which is before this program was made ({built}); {next}"));
    }
    let known = newest.map(|file| file.snapshot.time).max(built);
    if let Some(known) = known.filter(|known| now - *known > AHEAD) {
        let known = format::time(known);
        doubts.push(format!(
            "{clock}, years after this program was made and the newest image stored ({known}); if \
             that is not so, set the clock and start again: an image dated ahead stays the newest \
             for years"
        ));
    }
    doubts
}

/// Sets the system's clock; that of the machine, which other systems may keep in local time, stays
/// as it is.
///
/// # Errors
/// When the system refuses, as it does for anybody but root.
pub fn set_clock(time: OffsetDateTime) -> Result<(), OperationError> {
    let seconds = TimeSpec::new(time.unix_timestamp(), 0);
    clock_settime(ClockId::CLOCK_REALTIME, seconds)
        .map_err(|error| OperationError::io("setting the clock", error.into()))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::repository::{Id, Snapshot};

    fn newest(time: OffsetDateTime) -> SnapshotFile {
        let snapshot = Snapshot { time, paths: Vec::new(), ..Snapshot::of_nothing() };
        SnapshotFile { id: Id::of(b"newest"), snapshot }
    }

    #[test]
    fn each_wrong_clock_is_doubted() {
        let image = newest(datetime!(2026-06-01 12:00 UTC));
        let built = Some(datetime!(2026-03-01 12:00 UTC));
        let doubts = |now| doubts_at(now, Some(&image), built);
        assert!(doubts(datetime!(2026-06-01 12:01 UTC)).is_empty());
        assert!(doubts(datetime!(2030-06-01 12:00 UTC)).is_empty());
        let behind = doubts(datetime!(2026-05-01 12:00 UTC));
        assert!(behind.len() == 1 && behind[0].contains("dated later"), "{behind:?}");
        let dead = doubts(datetime!(2001-01-01 0:00 UTC));
        assert!(dead.len() == 2 && dead[1].contains("before this program"), "{dead:?}");
        let ahead = doubts(datetime!(2035-01-01 0:00 UTC));
        assert!(ahead.len() == 1 && ahead[0].contains("years after"), "{ahead:?}");
        assert!(doubts_at(datetime!(2001-01-01 0:00 UTC), None, None).is_empty());
    }
}
