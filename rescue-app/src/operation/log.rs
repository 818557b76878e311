//! The log: what was done to which disk, and how it ended, kept for as long as the system runs.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::console;

use super::event::{Event, Level};

/// Names another file than the usual one.
const VARIABLE: &str = "LIFEBOAT_LOG";
const USUAL: &str = "/var/log/lifeboat.log";

/// Where the log is.
pub fn path() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(USUAL), PathBuf::from)
}

/// The log of one operation. A log that cannot be written, such as that of an ordinary user,
/// stops nobody from saving a disk: it is silently left out.
pub struct Log(Mutex<Option<File>>);

impl Log {
    /// Opens the log and notes what begins.
    pub fn start(what: &str) -> Self {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path()).ok();
        let log = Self(Mutex::new(file));
        log.line(what);
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
