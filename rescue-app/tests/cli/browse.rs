//! The files in an image, listed and looked for.

use std::fs;

use common::tool;

use crate::support::{Bench, EXT4, MIB, make_gpt_disk, put};

/// A disk with files that are known, in an image.
fn captured() -> Bench {
    let bench = Bench::new();
    let disk = make_gpt_disk(&bench, "disk");
    let (content, part) = (bench.path("content"), bench.path("filesystem"));
    fs::create_dir_all(content.join("etc/deep/er")).unwrap();
    fs::write(content.join("etc/fstab"), "x".repeat(1234)).unwrap();
    fs::write(content.join("etc/deep/er/A Report.odt"), "x".repeat(100_000)).unwrap();
    fs::write(content.join("etc/deep/\u{1b}[2Jcontrol"), "").unwrap();
    std::os::unix::fs::symlink("etc/fstab", content.join("link")).unwrap();
    tool("touch", &["-d", "2011-11-11T11:11:11Z", content.join("etc/fstab").to_str().unwrap()]);
    let size = format!("{}M", EXT4.size / MIB);
    let (content, name) = (content.to_str().unwrap(), part.to_str().unwrap());
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", content, name, &size]);
    put(&disk, EXT4.start, &part);
    bench.capture("disk");
    bench
}

fn lines(bench: &Bench, args: &[&str]) -> Vec<String> {
    bench.run(args).ended(0).stdout.lines().map(str::to_owned).collect()
}

fn last(all: &[String]) -> Vec<&str> {
    all.iter().map(|line| line.split_whitespace().last().unwrap()).collect()
}

#[test]
fn volumes_folders_and_files_are_listed() {
    let bench = captured();
    let volumes = lines(&bench, &["ls", "latest"]);
    assert_eq!(volumes.len(), 4, "{volumes:?}");
    assert!(volumes.iter().any(|line| line.contains("3-")), "{volumes:?}");
    assert_eq!(lines(&bench, &["ls", "latest:3"]), ["etc/", "link", "lost+found/"]);
    assert_eq!(lines(&bench, &["ls", "latest:3/etc"]), ["deep/", "fstab"]);
    let long = lines(&bench, &["ls", "-l", "latest:3/etc/fstab"]);
    assert!(long[0].starts_with("-rw-r--r--"), "{long:?}");
    assert!(long[0].contains(" 1234 2011-11-11 11:11 fstab"), "{long:?}");
    let long = lines(&bench, &["ls", "-l", "latest:3"]);
    assert!(long[1].ends_with("link -> etc/fstab"), "{long:?}");
    // A link on the way is followed; control characters reach no terminal.
    assert_eq!(lines(&bench, &["ls", "latest:3/link"]).len(), 1);
    let deep = lines(&bench, &["ls", "latest:3/etc/deep"]);
    assert!(deep.iter().all(|line| !line.contains('\u{1b}')), "{deep:?}");
    let json = bench.run(&["ls", "--json", "latest:3/etc"]).ended(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"][1]["size"], 1234);
    assert_eq!(json["files"][1]["kind"], "file");
    assert_eq!(json["files"][1]["modified"], "2011-11-11T11:11:11Z");
}

#[test]
fn files_are_found_by_their_names() {
    let bench = captured();
    let found = lines(&bench, &["find", "latest:3", "report"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("/etc/deep/er/A Report.odt"), "{found:?}");
    // In all volumes; the whole name with wildcards.
    let found = lines(&bench, &["find", "latest", "fst?b"]);
    assert_eq!(last(&found).len(), 1, "{found:?}");
    assert!(lines(&bench, &["find", "latest:3/etc/deep", "fstab"]).is_empty());
}

#[test]
fn what_is_not_there_or_not_read_is_refused_with_what_to_do() {
    let bench = captured();
    let said = bench.run(&["ls", "latest:9"]).ended(4).stderr;
    assert!(said.contains("no volume 9") && said.contains("3-"), "{said}");
    let said = bench.run(&["ls", "latest:3/etc/nothing"]).ended(4).stderr;
    assert!(said.contains("is not there"), "{said}");
    let volumes = lines(&bench, &["ls", "latest"]);
    let swap = volumes.iter().find(|line| line.contains('(')).unwrap();
    assert!(swap.contains("not looked up"), "{swap}");
}
