//! The log: what was done to which disk, and how it ended. On the boot medium it lies in memory,
//! until it is kept beside images.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::console;

use super::access::RepoAccess;
use super::error::OperationError;
use super::guard;
use crate::progress::{Event, Level};
use crate::store::without_passwords;

/// Names another file than the usual one.
const VARIABLE: &str = "LIFEBOAT_LOG";
const USUAL: &str = "/var/log/lifeboat.log";

/// Characters of the time that a line begins with.
const TIME: usize = "2026-01-01 00:00:00Z".len();

/// The file that a person named.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Where the log is.
pub fn path() -> PathBuf {
    let usual = || std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
    NAMED.get().cloned().unwrap_or_else(usual)
}

/// Keeps the log of this process in `file`; the first one that is named counts.
///
/// # Errors
/// When it cannot be written: whoever names a file wants to find the log there.
pub fn keep_in(file: PathBuf) -> Result<(), OperationError> {
    let opened = open(&file);
    opened.map_err(|error| {
        OperationError::io(format!("opening the log {}", console::path(&file)), error)
    })?;
    let _ = NAMED.set(file);
    Ok(())
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(file)
}

/// Writes the log to `logs/` beside the images of a repository, with all that was noted since this
/// system was started, under a name of its own for each start; returns its path in the repository.
///
/// It is readable without the repository's passphrase, and it names disks and files that were lost.
///
/// # Errors
/// When there is no log, or the place takes no files.
pub fn keep(access: &RepoAccess) -> Result<String, OperationError> {
    let path = path();
    let reading =
        |error| OperationError::io(format!("reading the log {}", console::path(&path)), error);
    let text = fs::read(&path).map_err(reading)?;
    let text = String::from_utf8_lossy(&text);
    let started: String = text.chars().take(TIME).filter(|it| *it != ':').collect();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = format!("logs/{}-{}.log", started.replace(' ', "T"), boot.get(..8).unwrap_or("0"));
    let store = access.store();
    if !store.takes_notes() {
        return Err(OperationError::refused(
            format!("{} takes only what is in images", access.location()),
            "keep the log elsewhere",
        ));
    }
    store.write_note(&name, &text).map_err(crate::repository::RepositoryError::from)?;
    Ok(name)
}

/// [`keep`] where the log is gone with the power, beside images that anybody can read. A place that
/// takes no files, such as one that was mounted for a restore, gets none.
pub fn keep_what_would_be_lost(access: &RepoAccess) {
    if access.is_public() && !guard::lasts(&path()) {
        let _ = keep(access);
    }
}

/// The log of one operation. A log that cannot be written, such as that of an ordinary user,
/// stops nobody from saving a disk: it is silently left out.
pub struct Log(Mutex<Option<File>>);

impl Log {
    /// Opens the log and notes what begins.
    pub fn start(what: &str) -> Self {
        let log = Self(Mutex::new(open(&path()).ok()));
        log.line(&without_passwords(what));
        log
    }

    /// Notes what is worth reading later: phases and notices.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Phase { phase } => self.line(phase.title()),
            Event::Notice(notice) if notice.level == Level::Warning => {
                self.line(&format!("warning: {}", notice.text));
            }
            Event::Notice(notice) => self.line(&notice.text),
            Event::Progress(_) | Event::Paused(_) | Event::Continued => {}
        }
    }

    /// Adds a line with the time in front.
    pub fn line(&self, text: &str) {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
        let time = OffsetDateTime::now_utc().format(format).unwrap_or_default();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            let _ = writeln!(file, "{time} {}", console::plain(text));
        }
    }
}
