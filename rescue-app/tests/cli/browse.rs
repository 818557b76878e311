//! The files in an image, listed and looked for.

use std::fs;
use std::path::Path;

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

/// Mode, owner, size, time and path of all below a folder, as `find` prints them.
fn listing(folder: &Path) -> String {
    let format = "%y %m %U %G %s %TY-%Tm-%Td %TH:%TM %P %l\\n";
    let told =
        tool("find", &[folder.to_str().unwrap(), "-type", "d", "-printf", "%y %m %U %G %P\\n"]);
    let files = tool("find", &[folder.to_str().unwrap(), "!", "-type", "d", "-printf", format]);
    let mut lines: Vec<&str> = told.lines().chain(files.lines()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn files_and_folders_are_copied_out_with_what_belongs_to_them() {
    let bench = captured();
    let content = bench.path("content");
    bench.run(&["copy", "latest:3/etc", &bench.arg("etc")]).ended(0);
    assert_eq!(listing(&bench.path("etc")), listing(&content.join("etc")));
    tool("diff", &["-r", &bench.arg("etc"), content.join("etc").to_str().unwrap()]);
    // Into a folder that is there; the whole of a volume; as JSON.
    fs::create_dir(bench.path("into")).unwrap();
    bench.run(&["copy", "latest:3/etc/fstab", &bench.arg("into")]).ended(0);
    assert_eq!(fs::read(bench.path("into/fstab")).unwrap(), "x".repeat(1234).into_bytes());
    let report = bench.run(&["copy", "latest:3", &bench.arg("all"), "--json"]).ended(0).result();
    assert_eq!((&report["files"], &report["links"]), (&3.into(), &1.into()), "{report}");
    fs::remove_dir(bench.path("all/lost+found")).unwrap();
    assert_eq!(listing(&bench.path("all")), listing(&content));
    assert_eq!(fs::read_link(bench.path("all/link")).unwrap(), Path::new("etc/fstab"));
}

#[test]
fn nothing_is_overwritten_by_a_copy() {
    let bench = captured();
    fs::write(bench.path("kept"), "mine").unwrap();
    let said = bench.run(&["copy", "latest:3/etc/fstab", &bench.arg("kept")]).ended(4).stderr;
    assert!(said.contains("something of that name"), "{said}");
    assert_eq!(fs::read(bench.path("kept")).unwrap(), b"mine");
    std::os::unix::fs::symlink(bench.path("kept"), bench.path("leads")).unwrap();
    bench.run(&["copy", "latest:3/etc/fstab", &bench.arg("leads")]).ended(4);
    assert_eq!(fs::read(bench.path("kept")).unwrap(), b"mine");
    let said = bench.run(&["copy", "latest", &bench.arg("new")]).ended(4).stderr;
    assert!(said.contains("names no volume"), "{said}");
}

/// A name that leads out of its folder, put into a directory by hand.
#[test]
fn names_that_lead_elsewhere_do_no_harm() {
    let bench = Bench::new();
    let (content, disk) = (bench.path("content"), bench.path("disk"));
    fs::create_dir_all(content.join("folder")).unwrap();
    fs::write(content.join("folder/harmful"), "x").unwrap();
    fs::write(content.join("folder/other"), "y").unwrap();
    let args = ["-q", "-F", "-t", "ext4", "-O", "^metadata_csum", "-d"];
    let paths = [content.to_str().unwrap(), disk.to_str().unwrap(), "16M"];
    tool("mke2fs", &[&args[..], &paths].concat());
    let mut bytes = fs::read(&disk).unwrap();
    let at = bytes.windows(7).position(|name| name == b"harmful").unwrap();
    bytes[at..at + 7].copy_from_slice(b"../../x");
    fs::write(&disk, &bytes).unwrap();
    bench.capture("disk");
    let volume = lines(&bench, &["ls", "latest"])[0].split_whitespace().last().unwrap().to_owned();
    let said = bench.run(&["copy", &format!("latest:{volume}"), &bench.arg("out/in")]);
    assert_ne!(said.code, Some(0), "{}", said.stderr);
    fs::create_dir(bench.path("out")).unwrap();
    let said = bench.run(&["copy", &format!("latest:{volume}"), &bench.arg("out/in")]);
    assert_eq!(said.code, Some(3), "{}", said.stderr);
    assert!(!bench.path("x").exists() && !bench.path("out/x").exists());
}
