//! What differs between two images, by changes that the tools of others made.

use std::fs;
use std::path::{Path, PathBuf};

use common::{noise, tool};
use serde_json::Value;

use crate::support::{Bench, EXT4, NTFS, SWAP, cut, make_gpt_disk, put};

/// Changes an ext4 with `debugfs`.
fn debugfs(part: &Path, commands: &[&str]) {
    for command in commands {
        tool("debugfs", &["-w", "-R", command, part.to_str().unwrap()]);
    }
    tool("e2fsck", &["-fn", part.to_str().unwrap()]);
}

/// A file of the scratch folder with that content.
fn source(bench: &Bench, name: &str, bytes: &[u8]) -> PathBuf {
    let path = bench.path(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Puts a file in the place of another, at other blocks, with a time that it had.
fn replace(bench: &Bench, part: &Path, name: &str, bytes: &[u8]) {
    let from = source(bench, "source", bytes);
    let write = format!("write {} new-{name}", from.display());
    let (remove, link) = (format!("rm {name}"), format!("ln new-{name} {name}"));
    let (unlink, time) = (format!("unlink new-{name}"), format!("sif {name} mtime @1600000000"));
    let nanoseconds = format!("sif {name} mtime_extra 0");
    debugfs(part, &[&write, &remove, &link, &unlink, &time, &nanoseconds]);
}

fn lines(bench: &Bench, args: &[&str]) -> Vec<String> {
    let run = bench.run(&[&["diff"], args].concat()).ended(0);
    let mut lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    let summary = lines.pop().unwrap();
    assert!(summary.contains(" added, "), "{summary}");
    lines
}

#[test]
fn files_that_differ_are_told_with_what_differs() {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let (part, bytes) = (bench.path("ext4"), |at: u64| noise(at + 100, 200_000));
    cut(&disk, EXT4.start, EXT4.size, &part);
    for at in [4, 5] {
        replace(&bench, &part, &format!("file-{at}"), &bytes(at));
    }
    put(&disk, EXT4.start, &part);
    bench.capture("disk");

    let other = source(&bench, "other", &noise(1, 3000));
    debugfs(
        &part,
        &[
            "rm file-0",
            &format!("write {} added", other.display()),
            "rm file-1",
            &format!("write {} file-1", other.display()),
            "sif file-1 mtime @1400000000",
            "sif file-2 mtime @1500000000",
            "sif file-3 uid 1000",
            "mkdir folder",
            "rm file-6",
            "symlink file-6 nowhere",
        ],
    );
    // Other bytes and the same, both with the size and time of before, in other places.
    replace(&bench, &part, "file-4", &noise(2, 200_000));
    replace(&bench, &part, "file-5", &bytes(5));
    put(&disk, EXT4.start, &part);
    let ntfs = bench.path("ntfs");
    cut(&disk, NTFS.start, NTFS.size, &ntfs);
    tool("ntfscp", &[ntfs.to_str().unwrap(), other.to_str().unwrap(), "new"]);
    put(&disk, NTFS.start, &ntfs);
    let swap = bench.path("swap");
    cut(&disk, SWAP.start, SWAP.size, &swap);
    tool("mkswap", &["-L", "swap", swap.to_str().unwrap()]);
    put(&disk, SWAP.start, &swap);
    bench.capture("disk");

    let images = bench.run(&["images", "--json"]).ended(0).stdout;
    let images: Value = serde_json::from_str(&images).unwrap();
    let images = images.as_array().or(images["images"].as_array()).unwrap();
    let first = &images[1]["id"].as_str().unwrap()[..8];
    let expected = [
        "+ 3-root/added",
        "- 3-root/file-0",
        "M 3-root/file-1  (size, time)",
        "M 3-root/file-2  (time)",
        "M 3-root/file-3  (owner)",
        "M 3-root/file-4  (content)",
        "M 3-root/file-6  (kind)",
        "+ 3-root/folder/",
    ];
    let found = lines(&bench, &[&format!("{first}:3"), "latest"]);
    assert_eq!(found, expected);
    let whole = lines(&bench, &[first, "latest"]);
    for expected in ["+ 4-Windows/new", "M 7-swap  (content)"] {
        assert!(whole.iter().any(|line| line == expected), "{whole:?}");
    }
    assert_eq!(whole.iter().filter(|line| line.contains("3-root")).count(), expected.len());
    assert_eq!(lines(&bench, &["latest", "latest"]), Vec::<String>::new());
    // The other way round, and one file.
    let back = lines(&bench, &["latest:3", first]);
    assert_eq!((back[0].as_str(), back[1].as_str()), ("- 3-root/added", "+ 3-root/file-0"));
    let one = format!("{first}:3/file-4");
    assert_eq!(lines(&bench, &[&one, "latest"]), ["M 3-root/file-4  (content)"]);
    let json = bench.run(&["diff", &one, "latest", "--json"]).ended(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["change"], &json["what"][0]), (&"changed".into(), &"content".into()));
    assert_eq!(json["after"]["size"], 200_000);
    bench.run(&["diff", &format!("{first}:3/nowhere"), "latest"]).ended(4);
}
