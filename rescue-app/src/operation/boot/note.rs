//! What came out when an image was started, beside the images: a folder that restic does not look into.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::verdict::Verdict;
use crate::virtual_machine::Firmware;

/// The folder in that of the repository.
const FOLDER: &str = "boot-tests";
/// Bytes of a note, at most.
const MOST: u64 = 64 << 10;

/// That an image was started, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootNote {
    /// When, RFC 3339.
    pub time: String,
    /// Whether it starts.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the machine started with.
    pub firmware: Firmware,
}

impl BootNote {
    /// Of this moment.
    pub(super) fn now(verdict: Verdict, firmware: Firmware) -> Self {
        let time = OffsetDateTime::now_utc().replace_nanosecond(0);
        let time = time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        Self { time, verdict, firmware }
    }

    /// The note of an image, if there is one that is understood.
    pub(in crate::operation) fn read(repo: &Path, image: &str) -> Option<Self> {
        let path = place(repo, image, "json");
        let is_short = fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= MOST);
        serde_json::from_slice(&is_short.then(|| fs::read(path).ok())??).ok()
    }

    /// Removes what is noted of an image that is gone.
    pub(in crate::operation) fn remove(repo: &Path, image: &str) {
        // What stays is a small file that nobody asks for.
        ["json", "png"].iter().for_each(|ending| drop(fs::remove_file(place(repo, image, ending))));
    }

    /// Puts it, and a picture, beside the images; where the picture is.
    pub(super) fn put(
        &self,
        repo: &Path,
        image: &str,
        png: Option<&[u8]>,
    ) -> io::Result<Option<PathBuf>> {
        fs::create_dir_all(repo.join(FOLDER))?;
        let picture = place(repo, image, "png");
        match png {
            Some(png) => write(&picture, png)?,
            None => match fs::remove_file(&picture) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        write(&place(repo, image, "json"), &serde_json::to_vec(self)?)?;
        Ok(png.map(|_| picture))
    }
}

fn place(repo: &Path, image: &str, ending: &str) -> PathBuf {
    repo.join(FOLDER).join(format!("{image}.{ending}"))
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, path)
}
