//! A machine that is watched until it settles.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::hardware::{FIRMWARE_LOG, MONITOR, SCREEN, SERIAL};
use super::monitor::Monitor;
use super::picture::Picture;
use crate::progress::Cancel;

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(1);
/// A machine that shows and says nothing new for so long has settled: one whose processors rest, and any.
const RESTING: Duration = Duration::from_secs(12);
const SILENT: Duration = Duration::from_secs(45);
/// Processor time of a machine that rests, in hundredths of the time that went by.
const REST: u64 = 30;
/// The text of a screen of characters (VGA): where it is in memory, and its bytes, each character with its colour.
const TEXT: (u64, u64) = (0xb8000, 80 * 25 * 2);
/// What is read of a machine's words at most, bytes.
const MOST_WORDS: usize = 1 << 20;

/// What was seen of a machine.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it said on its serial line, and what its screen shows if that has characters.
    pub text: String,
    /// What its firmware says of itself.
    pub firmware: String,
    /// Whether its system told it that it gave up (pvpanic).
    pub has_panicked: bool,
    /// Whether it was switched off, or wanted to start anew.
    pub has_ended: bool,
    /// Whether nothing new came any more.
    pub has_settled: bool,
    /// Its screen.
    pub picture: Option<Picture>,
}

/// A machine that runs.
pub struct Watch {
    child: Child,
    monitor: Monitor,
    folder: PathBuf,
}

impl Watch {
    /// Starts a machine that is not seen, with its parts in `folder`.
    ///
    /// # Errors
    /// When it does not start; with what QEMU says of it.
    pub fn start(mut command: Command, folder: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(folder.join(MONITOR))?;
        let errors = folder.join("errors");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&errors)?);
        let mut child = command.spawn()?;
        match Monitor::accept(&listener) {
            Ok(monitor) => Ok(Self { child, monitor, folder: folder.to_owned() }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(errors).unwrap_or_default();
                let said = said.lines().last().map_or(error.to_string(), str::to_owned);
                Err(io::Error::other(said))
            }
        }
    }

    /// Watches until it settles, ends, or `is_enough` says so; for `limit` at most.
    ///
    /// # Errors
    /// When it cannot be watched any longer; [`io::ErrorKind::Interrupted`] when a person asked to stop.
    pub fn until(
        &mut self,
        limit: Duration,
        cancel: &Cancel,
        is_enough: impl Fn(&Seen) -> bool,
    ) -> io::Result<Seen> {
        let started = Instant::now();
        let mut quiet = Quiet::new(self.processor_time());
        let mut before = Seen::default();
        loop {
            thread::sleep(INTERVAL);
            if cancel.is_requested() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let mut seen = self.look(&before)?;
            let is_same = seen.text == before.text
                && match (&seen.picture, &before.picture) {
                    (Some(one), Some(other)) => one.is_nearly(other),
                    (one, other) => one.is_none() && other.is_none(),
                };
            seen.has_settled = quiet.lasts(is_same, self.processor_time());
            if seen.has_settled || seen.has_ended || is_enough(&seen) || started.elapsed() > limit {
                return Ok(seen);
            }
            before = seen;
        }
    }

    fn look(&mut self, before: &Seen) -> io::Result<Seen> {
        let mut seen = Seen { has_ended: self.child.try_wait()?.is_some(), ..Seen::default() };
        seen.text = self.words(SERIAL);
        seen.firmware = self.words(FIRMWARE_LOG);
        seen.picture.clone_from(&before.picture);
        if seen.has_ended {
            return Ok(seen);
        }
        let screen = self.folder.join(SCREEN);
        if self.monitor.screen(&screen).is_ok() {
            let picture = Picture::from_pixmap(&fs::read(&screen)?)?;
            if picture.is_text() {
                seen.text.push('\n');
                seen.text.push_str(&self.characters()?);
            }
            seen.picture = Some(picture);
        }
        seen.has_panicked = self.monitor.has_seen("GUEST_PANICKED");
        Ok(seen)
    }

    /// The characters on the screen.
    fn characters(&mut self) -> io::Result<String> {
        let file = self.folder.join("text");
        self.monitor.memory(TEXT.0, TEXT.1, &file)?;
        let cells = fs::read(&file)?;
        let mut text = String::new();
        for row in cells.chunks(160) {
            let letters = row.iter().step_by(2).map(|byte| match byte {
                b' '..=b'~' => char::from(*byte),
                _ => ' ',
            });
            text.push_str(letters.collect::<String>().trim_end());
            text.push('\n');
        }
        Ok(text)
    }

    fn words(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.join(name)).unwrap_or_default();
        let start = bytes.len().saturating_sub(MOST_WORDS);
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// Processor time of the machine so far (proc(5), `stat`: the 14th and 15th field), in hundredths of a second.
    fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a machine has shown nothing new.
struct Quiet {
    since: Instant,
    /// Its processor time then.
    time: u64,
}

impl Quiet {
    fn new(time: u64) -> Self {
        Self { since: Instant::now(), time }
    }

    /// Whether that is long enough by now.
    fn lasts(&mut self, is_same: bool, time: u64) -> bool {
        if !is_same {
            *self = Self::new(time);
            return false;
        }
        let (elapsed, used) = (self.since.elapsed(), time.saturating_sub(self.time));
        let hundredths = u64::try_from(elapsed.as_millis() / 10).unwrap_or(u64::MAX);
        let rests = used.saturating_mul(100) < hundredths.saturating_mul(REST);
        elapsed > SILENT || (elapsed > RESTING && rests)
    }
}
