//! The menu of the real program in a real pseudo-terminal, its output read by a terminal emulator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Exported, tool};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::json;

/// Longest wait for something to appear: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

fn number(value: u16) -> NonZero<u16> {
    NonZero::new(value).unwrap()
}

fn emulator(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(number(rows), number(columns), 0)
}

/// A terminal with the program in it.
struct Session {
    parser: Arc<Mutex<vt100::Parser>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    writer: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

impl Session {
    /// Starts the menu. The emulator has `rows` by `columns`; the program is told `told`.
    fn start(rows: u16, columns: u16, told: (u16, u16), environment: &[(&str, &str)]) -> Self {
        Self::run(&[], rows, columns, told, environment)
    }

    /// The same with arguments.
    fn run(
        args: &[&str],
        rows: u16,
        columns: u16,
        told: (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let size = PtySize { rows: told.0, cols: told.1, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(args);
        command.env_clear();
        command.env("TERM", "linux");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pty.slave.spawn_command(command).unwrap();
        let parser = Arc::new(Mutex::new(emulator(rows, columns)));
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (screen, all) = (Arc::clone(&parser), Arc::clone(&bytes));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                screen.lock().unwrap().process(&buffer[..count]);
                all.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        let writer = pty.master.take_writer().unwrap();
        Self { parser, bytes, writer, master: pty.master, child }
    }

    /// The usual size.
    fn usual() -> Self {
        Self::start(24, 80, (24, 80), &[])
    }

    fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    fn screen(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    fn has(&self, text: &str) -> bool {
        self.screen().contains(text)
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |session| session.has(text));
    }

    #[track_caller]
    fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "waited for {what}:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of the program; returns its exit code.
    #[track_caller]
    fn wait_for_end(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the terminal is as a shell expects it.
    fn is_restored(&self) -> bool {
        let parser = self.parser.lock().unwrap();
        let screen = parser.screen();
        !screen.alternate_screen() && !screen.hide_cursor()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ends a program that a failed test left behind; one that ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_menu_appears_moves_and_quits() {
    let mut session = Session::usual();
    session.wait_for("► C  Capture");
    assert!(session.parser.lock().unwrap().screen().alternate_screen());
    session.send("\x1b[B");
    session.wait_for("► R  Restore");
    session.send("c");
    session.wait_for("Capture: choose the disk to store");
    session.send("\x1b");
    session.wait_for("► C  Capture");
    session.send("q");
    assert_eq!(session.wait_for_end(), 0);
    session.wait_until("a restored terminal", Session::is_restored);
    assert!(!session.has("Capture"), "the menu is gone: {}", session.screen());
}

#[test]
fn a_serial_line_that_tells_no_size_is_80_by_24() {
    let session = Session::start(24, 80, (0, 0), &[]);
    session.wait_for("► C  Capture");
    let screen = session.screen();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 24, "{screen}");
    assert_eq!(lines[1].chars().count(), 80, "{screen}");
    assert!(lines[22].starts_with('└') && lines[22].ends_with('┘'), "{screen}");
    assert!(lines[23].contains("Help"), "{screen}");
}

#[test]
fn a_size_in_the_environment_helps_where_the_line_tells_none() {
    let session = Session::start(30, 100, (0, 0), &[("LINES", "30"), ("COLUMNS", "100")]);
    session.wait_for("► C  Capture");
    assert_eq!(session.screen().lines().nth(28).unwrap().chars().count(), 100);
}

#[test]
fn the_terminal_is_never_asked_a_question() {
    // A serial line without a person at it does not answer; the program would hang.
    let session = Session::usual();
    session.wait_for("► C  Capture");
    let bytes = session.bytes.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&bytes);
    for question in ["\x1b[6n", "\x1b[c", "\x1b[0c", "\x1b[?u"] {
        assert!(!text.contains(question), "{question:?}");
    }
}

#[test]
fn an_arrow_key_in_pieces_is_still_an_arrow_key() {
    let mut session = Session::usual();
    session.wait_for("► C  Capture");
    session.send("r");
    session.wait_for("Restore: choose where the images are");
    for piece in ["\x1b", "[", "B"] {
        session.send(piece);
        thread::sleep(Duration::from_millis(15));
    }
    thread::sleep(Duration::from_millis(500));
    assert!(session.has("Restore: choose where the images are"), "{}", session.screen());
}

#[test]
fn the_screen_follows_a_resize() {
    let session = Session::usual();
    session.wait_for("► C  Capture");
    session.parser.lock().unwrap().screen_mut().set_size(number(40), number(120));
    let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
    session.master.resize(size).unwrap();
    session.wait_until("a frame of the new size", |session| {
        let screen = session.screen();
        screen.lines().nth(38).is_some_and(|line| line.chars().count() == 120)
    });
}

#[test]
fn a_resting_menu_sends_nothing() {
    let session = Session::usual();
    session.wait_for("► C  Capture");
    thread::sleep(Duration::from_secs(1));
    let before = session.bytes.lock().unwrap().len();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(session.bytes.lock().unwrap().len(), before);
}

#[test]
fn no_color_is_obeyed() {
    let colourful = |session: &Session| {
        let parser = session.parser.lock().unwrap();
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
        cells.into_iter().any(|(row, column)| {
            let cell = parser.screen().cell(row, column).unwrap();
            (cell.fgcolor(), cell.bgcolor()) != (vt100::Color::Default, vt100::Color::Default)
        })
    };
    let session = Session::usual();
    session.wait_for("Help");
    assert!(colourful(&session));
    let session = Session::start(24, 80, (24, 80), &[("NO_COLOR", "1")]);
    session.wait_for("Help");
    assert!(!colourful(&session));
    let parser = session.parser.lock().unwrap();
    assert!(parser.screen().cell(3, 2).unwrap().inverse(), "the chosen row is reversed");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut session = Session::usual();
        session.wait_for("► C  Capture");
        let pid = i32::try_from(session.child.process_id().unwrap()).unwrap();
        // As `restic unlock` asks whether a process exists.
        kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
        session.send("\x1b[B");
        session.wait_for("► R  Restore");
        kill(Pid::from_raw(pid), signal).unwrap();
        assert_eq!(session.wait_for_end(), 0, "{signal}");
        session.wait_until("a restored terminal", Session::is_restored);
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_menu() {
    let pty = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.env("TERM", "linux");
    let mut child = pty.slave.spawn_command(command).unwrap();
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().unwrap();
    assert!(reader.read(&mut [0; 4096]).unwrap() > 0, "the menu never appeared");
    drop((reader, pty.master));
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the menu goes on without a terminal");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_a_terminal_the_commands_are_pointed_to() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("needs a terminal") && message.contains("--help"), "{message}");
}

/// A LUKS container that `slack water` opens, and a repository.
fn container_and_repository(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (disk, key, repo) = (path("disk"), path("key"), path("repo"));
    fs::write(&key, "slack water").unwrap();
    fs::File::create(&disk).unwrap().set_len(3 << 20).unwrap();
    let words = ["-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"];
    tool("cryptsetup", &[&words[..], &[&disk, &key]].concat());
    let mut init = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    let made = init.args(["init", "--no-passphrase", "--repo", &repo]).output().unwrap();
    assert!(made.status.success());
    (disk, repo)
}

#[test]
fn a_mistyped_passphrase_of_a_container_is_asked_for_again_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, repo) = container_and_repository(folder.path());
    let log = folder.path().join("log");
    let args = ["capture", &disk, "--repo", &repo, "--unlock"];
    let environment = [("LIFEBOAT_LOG", log.to_str().unwrap())];
    let mut session = Session::run(&args, 24, 80, (24, 80), &environment);
    session.wait_for("Unlock the disk with its passphrase: ");
    session.send("flood\r");
    session.wait_for("the disk stays locked: the passphrase is wrong");
    session.wait_until("a second question", |session| {
        session.screen().matches("Unlock the disk with its passphrase: ").count() == 2
    });
    session.send("slack water\r");
    assert_eq!(session.wait_for_end(), 0, "{}", session.screen());
    let shown = String::from_utf8_lossy(&session.bytes.lock().unwrap()).into_owned();
    assert!(!shown.contains("flood") && !shown.contains("slack"), "{shown}");
}

/// The first Ctrl-C is enough, and what is typed afterwards is seen again.
#[test]
fn ctrl_c_at_a_question_for_a_passphrase_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    let log = folder.path().join("log");
    let args = ["init", "--repo", repo.to_str().unwrap()];
    let environment = [("LIFEBOAT_LOG", log.to_str().unwrap())];
    let mut session = Session::run(&args, 24, 80, (24, 80), &environment);
    session.wait_for("New passphrase: ");
    let echo = |session: &Session| {
        let terminal = session.master.as_raw_fd().unwrap();
        // SAFETY: the session holds the terminal open.
        let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
        tcgetattr(terminal).unwrap().local_flags.contains(LocalFlags::ECHO)
    };
    assert!(!echo(&session));
    session.send("spring ti\x03");
    assert_eq!(session.wait_for_end(), 130, "{}", session.screen());
    assert!(echo(&session));
    assert!(!repo.exists());
}

/// A repository with an image of a disk with a bad sector.
fn repository_of_a_failing_disk(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (disk, repo) = (path("disk"), path("repo"));
    fs::write(&disk, [7; 1 << 20]).unwrap();
    let file = json!({ "driver": "file", "node-name": "file", "filename": disk });
    let error =
        json!({ "event": "none", "iotype": "read", "errno": 5, "sector": 1000, "once": false });
    let top = json!({
        "driver": "blkdebug", "node-name": "top", "image": "file", "inject-error": [error],
    });
    let faulty = Exported::new(&[], &[file, top], 1 << 20, false);
    let source = faulty.path().to_str().unwrap().to_owned();
    for (args, status) in [(vec!["init", "--no-passphrase"], 0), (vec!["capture", &source], 3)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        let ended = command.args(args).args(["--repo", &repo]).output().unwrap();
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
    }
    repo
}

#[test]
fn the_menu_tells_after_verifying_what_an_image_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let repo = repository_of_a_failing_disk(folder.path());
    let log = folder.path().join("log");
    let mut session =
        Session::start(40, 120, (40, 120), &[("LIFEBOAT_LOG", log.to_str().unwrap())]);
    session.wait_for("► C  Capture");
    session.send("v");
    session.wait_for("Verify: choose");
    session.send("f");
    session.wait_for("folder");
    session.send(&format!("{repo}\r"));
    session.wait_for("All images");
    session.send("\r");
    session.wait_for("Verify: done, with warnings");
    session.wait_for("512 bytes of the disk could not be read");
    session.wait_for("What is stored is whole");
}

#[test]
fn the_passphrase_of_a_repository_is_asked_for_three_times() {
    let folder = tempfile::tempdir().unwrap();
    let repo = folder.path().join("repo");
    let repo = repo.to_str().unwrap();
    let log = folder.path().join("log");
    let mut init = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    let made = init.args(["init", repo]).env("LIFEBOAT_PASSPHRASE", "ebb").status();
    assert!(made.unwrap().success());
    let environment = [("LIFEBOAT_LOG", log.to_str().unwrap())];
    let ask = |words: &[&str]| {
        let args = ["-r", repo, "images"];
        let mut session = Session::run(&args, 24, 80, (24, 80), &environment);
        for (at, word) in words.iter().enumerate() {
            session.wait_until("a question", |session| {
                session.screen().matches("Passphrase of").count() == at + 1
            });
            session.send(&format!("{word}\r"));
        }
        (session.wait_for_end(), session.screen())
    };
    let (status, screen) = ask(&["flood", "ebb"]);
    assert!(status == 0 && screen.matches("try again").count() == 1, "{screen}");
    let (status, screen) = ask(&["flood", "flood", "flood"]);
    assert!(status == 12 && screen.matches("try again").count() == 2, "{screen}");
}

#[test]
fn a_restore_without_consent_shows_the_plan_and_asks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (repo, disk, out, log) = (path("repo"), path("disk"), path("out"), path("log"));
    fs::write(&disk, [7; 1 << 20]).unwrap();
    fs::write(&out, [9; 1 << 20]).unwrap();
    for args in [&["init", &repo, "--no-passphrase"][..], &["capture", &disk, "-r", &repo]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        assert!(command.args(args).env("LIFEBOAT_LOG", &log).output().unwrap().status.success());
    }
    let args = ["restore", "latest", &out, "-r", &repo];
    let environment = [("LIFEBOAT_LOG", log.as_str())];
    let answer = |word: &str| {
        let mut session = Session::run(&args, 40, 120, (40, 120), &environment);
        session.wait_for("to agree, type what is in brackets");
        assert!(session.has("lost: ") && session.has(&format!("[{out}]")), "{}", session.screen());
        session.send(&format!("{word}\r"));
        session.wait_for_end()
    };
    assert_eq!(answer("yes"), 1);
    assert!(fs::read(&out).unwrap() == [9; 1 << 20]);
    assert_eq!(answer(&out), 0);
    assert!(fs::read(&out).unwrap() == [7; 1 << 20]);
}
