//! The map file: which parts of a failing disk were read, in the format of GNU ddrescue
//! (its manual, "Mapfile structure"), so that either program can carry on from the other's.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bytes::Extent;
use crate::console;
use crate::progress::Reporter;
use crate::transfer::TransferError;

use super::status::{FailedRead, Status, StatusMap};

/// How often it is written at least while something is read.
const INTERVAL: Duration = Duration::from_secs(30);

/// A map file with more lines than this is refused.
const MOST_BYTES: u64 = 256 << 20;

/// EIO: what a stretch that ddrescue found bad is taken to have failed with.
const EIO: i32 = 5;

/// What is being done, with ddrescue's letter for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Copying,
    Trimming,
    Scraping,
    Retrying,
    Finished,
}

impl Stage {
    fn letter(self) -> char {
        match self {
            Self::Copying => '?',
            Self::Trimming => '*',
            Self::Scraping => '/',
            Self::Retrying => '-',
            Self::Finished => '+',
        }
    }
}

/// The file and when it was last written.
pub(super) struct MapFile {
    path: PathBuf,
    written: Instant,
    /// Why that did not work.
    problem: Option<String>,
}

impl MapFile {
    /// Reads the file, if there is one, for the failures that an earlier run met: its bad areas
    /// and those not narrowed down become `NonScraped`, to be tried last. What it calls finished
    /// has to be read again, for it is not in the image yet.
    pub(super) fn open(path: &Path, statuses: &mut StatusMap) -> Result<Self, TransferError> {
        match fs::metadata(path) {
            Ok(meta) if meta.len() > MOST_BYTES => return Err(not_a_map(path, "it is too large")),
            Ok(_) => {
                let text = fs::read_to_string(path).map_err(|error| cannot_read(path, error));
                load(&text?, statuses).map_err(|why| not_a_map(path, &why))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_read(path, error)),
        }
        Ok(Self { path: path.to_owned(), written: Instant::now(), problem: None })
    }

    /// Whether it is time to write it.
    pub(super) fn is_due(&self) -> bool {
        self.written.elapsed() >= INTERVAL
    }

    /// Writes it. That this does not work is told and no reason to stop: a disk that is failing
    /// may not live for another capture.
    pub(super) fn save(
        &mut self,
        statuses: &StatusMap,
        at: u64,
        stage: Stage,
        reporter: &Reporter<'_>,
    ) {
        self.written = Instant::now();
        let result = self.write(statuses, at, stage);
        let had_problem = self.problem.is_some();
        self.problem = result.err().map(|error| {
            format!(
                "the map file {} cannot be written: {error}; the capture goes on without it",
                console::path(&self.path)
            )
        });
        if let Some(problem) = self.problem.as_ref().filter(|_| !had_problem) {
            reporter.warn(problem.clone());
        }
    }

    /// Why it could not be written the last time.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// Writes it under a temporary name, syncs and renames it.
    fn write(&self, statuses: &StatusMap, at: u64, stage: Stage) -> io::Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".unfinished");
        let unfinished = PathBuf::from(name);
        let write = || {
            let options = &mut OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(text(statuses, at, stage).as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &self.path)?;
            // On FAT the renamed file is empty until it is synced once more.
            file.sync_all()
        };
        write().inspect_err(|_| {
            // It would take up space that others need.
            let _ = fs::remove_file(&unfinished);
        })
    }
}

fn cannot_read(path: &Path, error: io::Error) -> TransferError {
    TransferError::io(format!("reading the map file {}", console::path(path)), error)
}

fn not_a_map(path: &Path, why: &str) -> TransferError {
    TransferError::refused(
        format!("{} is not a map of this disk: {why}", console::path(path)),
        "name another file, or remove it to start without what an earlier run found",
    )
}

fn text(statuses: &StatusMap, at: u64, stage: Stage) -> String {
    let mut text = format!(
        "# Mapfile. Created by lifeboat {}\n# current_pos  current_status  current_pass\n\
         0x{at:08X}     {}               1\n#      pos        size  status\n",
        env!("CARGO_PKG_VERSION"),
        stage.letter()
    );
    for (range, letter) in statuses.letters() {
        text += &format!("0x{:08X}  0x{:08X}  {letter}\n", range.start, range.len());
    }
    text
}

/// Takes over the failures of a map file; says what is wrong with it otherwise.
fn load(text: &str, statuses: &mut StatusMap) -> Result<(), String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut at = 0;
    // The first line tells what the earlier run was at.
    for line in lines.skip(1) {
        let (range, letter) = block(line).ok_or_else(|| format!("`{line}` makes no sense"))?;
        if range.start != at || range.end > statuses.size {
            return Err(format!("the block at byte {} is out of place", range.start));
        }
        at = range.end;
        let status = match letter {
            "*" => Status::NonTrimmed,
            "/" | "-" => Status::NonScraped,
            "?" | "+" => continue,
            _ => return Err(format!("`{letter}` is no state")),
        };
        statuses.fail(range, FailedRead { status, errno: EIO });
    }
    Ok(())
}

fn block(line: &str) -> Option<(Extent, &str)> {
    let mut fields = line.split_whitespace();
    let (start, len) = (number(fields.next()?)?, number(fields.next()?)?);
    let end = start.checked_add(len)?;
    Some((Extent { start, end }, fields.next()?))
}

/// ddrescue writes hexadecimal and reads decimal numbers too.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// For the fuzzer: what is taken from any map is written and read again as the same.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any_map(data: &[u8]) {
    const SIZE: u64 = 1 << 30;
    let failures = |statuses: &StatusMap| {
        statuses
            .failures(Extent { start: 0, end: SIZE })
            .map(|(range, _)| range)
            .collect::<Vec<_>>()
    };
    let Ok(map) = std::str::from_utf8(data) else { return };
    let (mut statuses, mut again) = (StatusMap::new(SIZE, true), StatusMap::new(SIZE, true));
    if load(map, &mut statuses).is_ok() {
        let written = text(&statuses, 0, Stage::Copying);
        assert_eq!(load(&written, &mut again), Ok(()), "a map of ours is refused");
        assert_eq!(failures(&statuses), failures(&again), "a map says something else when written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(start: u64, end: u64) -> Extent {
        Extent { start, end }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut statuses = StatusMap::new(1 << 20, true);
        statuses.finish(extent(0, 65536));
        statuses
            .fail(extent(4096, 4608), FailedRead { status: Status::Bad { tries: 2 }, errno: 61 });
        statuses.fail(extent(8192, 16384), FailedRead { status: Status::NonTrimmed, errno: 5 });
        let written = text(&statuses, 8192, Stage::Trimming);
        let mut read = StatusMap::new(1 << 20, true);
        load(&written, &mut read).unwrap();
        let found: Vec<_> = read.failures(extent(0, 1 << 20)).collect();
        assert_eq!(
            found,
            [
                (extent(4096, 4608), FailedRead { status: Status::NonScraped, errno: EIO }),
                (extent(8192, 16384), FailedRead { status: Status::NonTrimmed, errno: EIO }),
            ]
        );
        assert!(written.contains("\n0x00002000     *               1\n"), "{written}");
        assert!(written.ends_with("0x00010000  0x000F0000  ?\n"), "{written}");
    }

    #[test]
    fn a_map_of_another_disk_and_nonsense_are_refused() {
        let head = "0x0 ? 1\n";
        for wrong in ["0x0 0x200000 -", "0x10 0x10 +", "0x0 0x10", "0x0 0x10 x", "zero 1 +"] {
            let mut statuses = StatusMap::new(1 << 20, false);
            assert!(load(&format!("{head}{wrong}\n"), &mut statuses).is_err(), "{wrong}");
        }
        // Something is there that cannot be read.
        let folder = tempfile::tempdir().unwrap();
        assert!(MapFile::open(folder.path(), &mut StatusMap::new(1 << 20, true)).is_err());
    }
}
