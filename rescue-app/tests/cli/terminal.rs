//! What the program is given and where its words go: names that are no text, readers that leave,
//! signals that are ignored, passphrases as other programs write them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{noise, tool};

use crate::support::{Bench, Run, same};

/// A standard stream whose reader is gone.
fn deaf() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_leaves_ends_nothing() {
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 3 << 20)).unwrap();
    bench.capture("disk");
    let (disk, back) = (bench.arg("disk"), bench.arg("back"));
    let commands: [&[&str]; 8] = [
        &["images"],
        &["images", "--json"],
        &["show", "latest"],
        &["disks"],
        &["verify"],
        &["capture", &disk],
        &["capture", &disk, "--json"],
        &["restore", "latest", &back, "--erase", &back],
    ];
    for args in commands {
        let run = bench.command(args).stdout(deaf()).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert_eq!(run.status.code(), Some(0), "{args:?}: {said}");
        assert_eq!(bench.command(args).stderr(deaf()).output().unwrap().status.code(), Some(0));
    }
    assert!(same(&bench.path("disk"), &bench.path("back")));
    // A failure keeps its own status.
    let missing = bench.command(&["show", "abcdef"]).stdout(deaf()).stderr(deaf()).status();
    assert_eq!(missing.unwrap().code(), Some(1));
}

#[test]
fn an_output_file_without_room_is_told() {
    let bench = Bench::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = bench.command(&["images", "--json"]).stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
}

/// A path below the bench that no text can be.
fn latin1(bench: &Bench, name: &[u8]) -> OsString {
    bench.dir.path().join(OsStr::from_bytes(name)).into_os_string()
}

#[test]
fn paths_need_not_be_text() {
    let bench = Bench::empty();
    let repo = latin1(&bench, b"B\xfcro");
    let (disk, out) = (latin1(&bench, b"M\xfcller.img"), latin1(&bench, b"zur\xfcck.img"));
    fs::write(&disk, noise(1, 3 << 20)).unwrap();
    let run = |args: &[&OsStr]| {
        let mut command = bench.command(args);
        Run::from(command.env("LIFEBOAT_REPO", &repo).output().unwrap())
    };
    let word = OsStr::new;
    run(&[word("init"), word("--no-passphrase")]).ended(0);
    let restore = [word("restore"), word("latest"), &out, word("--erase"), &out];
    for more in ["--plan", "--json"] {
        run(&[word("capture"), &disk, word(more)]).ended(0);
    }
    for more in ["--plan", "--json"] {
        run(&[&restore[..], &[word(more)]].concat()).ended(0);
    }
    assert!(same(Path::new(&disk), Path::new(&out)));
    run(&restore).ended(0);
    run(&[word("restore"), word("latest"), &out, word("--erase"), &disk]).ended(4);
    let json = run(&[word("capture"), &disk, word("--plan"), word("--json")]).ended(0);
    assert_eq!(json.result()["disk"]["kind"], "image-file");
    fs::File::options().write(true).open(&out).unwrap().set_len(70 << 20).unwrap();
    run(&[word("prepare"), &out, word("--erase"), &disk]).ended(4);
    run(&[word("prepare"), &out, word("--erase"), &out, word("--plan")]).ended(0);
}

/// Steers a terminal in every way: escape, the C1 form of it, a line end, a carriage return, a
/// change of direction.
const STEERING: &str = "a\u{1b}[31mb\u{9b}32mc\nwrites 0 B\rd\u{202e}e";

#[test]
fn names_steer_no_terminal() {
    let bench = Bench::new();
    fs::write(bench.path(STEERING), noise(1, 3 << 20)).unwrap();
    let (disk, out) = (bench.arg(STEERING), bench.arg(&format!("{STEERING}out")));
    let commands: [&[&str]; 10] = [
        &["capture", &disk, "--plan"],
        &["capture", &disk],
        &["images"],
        &["show", "latest"],
        &["restore", "latest", &out, "--plan"],
        &["restore", "latest", &out, "--erase", &out],
        &["verify", "latest"],
        &["forget", "--keep-last", "1"],
        &["capture", &disk, "--json"],
        &["images", "--json"],
    ];
    for args in commands {
        let run = bench.run(args).ended(0);
        for text in [&run.stdout, &run.stderr] {
            let steering = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!text.contains(steering), "{args:?}: {text:?}");
            assert!(!text.contains("\nwrites 0 B"), "{args:?}: {text}");
        }
    }
    let log = fs::read_to_string(bench.path("log")).unwrap();
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\r']) && !log.contains("\nwrites"), "{log:?}");
    let failed = bench.run(&["capture", &bench.arg(&format!("{STEERING}none"))]).ended(1);
    assert!(!failed.stderr.contains(['\u{1b}', '\u{9b}']), "{:?}", failed.stderr);
}

/// The bit of a signal in a line of `/proc/PID/status`.
fn has(status: &str, line: &str, signal: u32) -> bool {
    let set = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

#[test]
fn a_signal_that_is_ignored_stays_so() {
    const HUP: u32 = 1;
    const TERM: u32 = 15;
    let bench = Bench::new();
    fs::write(bench.path("disk"), noise(1, 100 << 20)).unwrap();
    for (trap, ignored) in [("trap '' HUP; ", true), ("", false)] {
        let script = format!("{trap}exec \"$0\" capture \"$1\" --level small");
        let mut running = Command::new("sh");
        running.args(["-c", &script, env!("CARGO_BIN_EXE_lifeboat"), &bench.arg("disk")]);
        running.env("LIFEBOAT_REPO", bench.path("repo")).env("LIFEBOAT_LOG", bench.path("log"));
        running.env_remove("LIFEBOAT_PASSPHRASE").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = running.spawn().unwrap();
        let status = loop {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            if has(&status, "SigCgt:", TERM) && status.starts_with("Name:\tlifeboat") {
                break status;
            }
            assert!(child.try_wait().unwrap().is_none(), "ended too early");
        };
        // The signals are set one after another: TERM comes before HUP.
        let mut last = status;
        while has(&last, "SigIgn:", HUP) != ignored || has(&last, "SigCgt:", HUP) == ignored {
            assert!(child.try_wait().unwrap().is_none(), "{last}");
            last = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_passphrase_file_opens_in_restic_and_here() {
    let files: [(&str, &[u8], &str); 8] = [
        ("plain", b"secret word\r\n", "secret word"),
        ("utf8-with-mark", b"\xef\xbb\xbfsecret\r\n", "secret"),
        ("utf16-le", b"\xff\xfes\0e\0c\0r\0e\0t\0\r\0\n\0", "secret"),
        ("utf16-be", b"\xfe\xff\0s\0e\0c\0r\0e\0t\0\r\0\n", "secret"),
        ("blanks", b" \tsecret \n", "secret"),
        ("blank-line", b"\nsecret\n\n", "secret"),
        ("unbreakable", "\u{a0}secret\u{3000}\n".as_bytes(), "secret"),
        ("two-lines", b"one\ntwo\n", "one\ntwo"),
    ];
    for (name, bytes, word) in files {
        let bench = Bench::empty();
        fs::write(bench.path(name), bytes).unwrap();
        let file = bench.arg(name);
        bench.run(&["init", "--passphrase-file", &file]).ended(0);
        let typed = bench.command(&["images"]).env("LIFEBOAT_PASSPHRASE", word).status();
        assert!(typed.unwrap().success(), "{name}");
        let restic = |args: &[&str]| {
            tool("restic", &[&["-q", "--no-cache", "--password-file", &file], args].concat());
        };
        restic(&["-r", &bench.arg("repo"), "snapshots"]);
        restic(&["-r", &bench.arg("theirs"), "init"]);
        let theirs = bench.arg("theirs");
        bench.run(&["images", "--passphrase-file", &file, "--repo", &theirs]).ended(0);
    }
}

#[test]
fn a_passphrase_that_is_no_text_gets_its_own_message() {
    let bench = Bench::new();
    let mut command = bench.command(&["images"]);
    command.env("LIFEBOAT_PASSPHRASE", OsStr::from_bytes(b"M\xfcller"));
    let run = Run::from(command.output().unwrap()).ended(1);
    assert!(run.stderr.contains("LIFEBOAT_PASSPHRASE is not UTF-8"), "{}", run.stderr);
    fs::write(bench.path("word"), b"M\xfcller\n").unwrap();
    let run = bench.run(&["images", "--passphrase-file", &bench.arg("word")]).ended(1);
    assert!(run.stderr.contains("is not UTF-8"), "{}", run.stderr);
}

#[test]
fn of_several_that_create_a_repository_one_does() {
    for _ in 0..5 {
        let bench = Bench::empty();
        let mut running: Vec<_> = (0..4)
            .map(|number| {
                let mut command = bench.command(&["init"]);
                command.env("LIFEBOAT_PASSPHRASE", format!("word {number}"));
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ends: Vec<_> =
            running.drain(..).map(|child| child.wait_with_output().unwrap()).collect();
        let winners: Vec<usize> = (0..4).filter(|number| ends[*number].status.success()).collect();
        let [winner] = winners[..] else { panic!("{winners:?}") };
        for loser in ends.iter().filter(|end| !end.status.success()) {
            let said = String::from_utf8_lossy(&loser.stderr);
            assert!(said.contains("already") || said.contains("at this moment"), "{said}");
        }
        let mut command = bench.command(&["images"]);
        command.env("LIFEBOAT_PASSPHRASE", format!("word {winner}"));
        Run::from(command.output().unwrap()).ended(0);
        let left = fs::read_dir(bench.path("repo")).unwrap();
        let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("unfinished")));
    }
}
