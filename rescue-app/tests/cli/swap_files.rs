//! Files whose content systems make anew.

use std::fs::{self, File};
use std::path::Path;

use common::{noise, tool};

use crate::support::{Bench, MIB, cut, put, same};

const SIZE: u64 = 150 * MIB;
const NTFS: (u64, u64) = (MIB, 80 * MIB);
const EXT4: (u64, u64) = (81 * MIB, 60 * MIB);
/// What is stored of a file of Windows.
const HEADER: usize = 64 << 10;

/// Puts files into an NTFS of a size in a file.
fn ntfs(bench: &Bench, part: &Path, files: &[(&str, Vec<u8>)]) {
    File::create(part).unwrap().set_len(NTFS.1).unwrap();
    let name = part.to_str().unwrap();
    tool("mkntfs", &["-q", "-F", "-f", "-s", "512", "-p", "2048", "-H", "255", "-S", "63", name]);
    for (file, bytes) in files {
        fs::write(bench.path("content"), bytes).unwrap();
        tool("ntfscp", &["-f", "-q", name, &bench.arg("content"), file]);
    }
}

fn headed(head: &[u8], seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = noise(seed, len);
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

/// An ext4 with a swap file and with one that is only called so.
fn ext4(bench: &Bench, part: &Path) {
    let tree = bench.path("tree");
    fs::create_dir_all(tree.join("var")).unwrap();
    fs::write(tree.join("swapfile"), noise(5, 20 << 20)).unwrap();
    tool("mkswap", &["-q", "-L", "made-anew", tree.join("swapfile").to_str().unwrap()]);
    fs::write(tree.join("swap.img"), noise(6, 3 << 20)).unwrap();
    fs::write(tree.join("var/kept"), noise(7, 3 << 20)).unwrap();
    File::create(part).unwrap().set_len(EXT4.1).unwrap();
    let (tree, part) = (tree.to_str().unwrap(), part.to_str().unwrap());
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-d", tree, part]);
}

fn make_disk(bench: &Bench, windows: &[(&str, Vec<u8>)]) {
    let disk = bench.path("disk");
    File::create(&disk).unwrap().set_len(SIZE).unwrap();
    let path = disk.to_str().unwrap();
    tool("sgdisk", &["-n1:1M:+80M", "-t1:0700", "-n2:81M:+60M", "-t2:8300", path]);
    let part = bench.path("part");
    ntfs(bench, &part, windows);
    put(&disk, NTFS.0, &part);
    fs::remove_file(&part).unwrap();
    ext4(bench, &part);
    put(&disk, EXT4.0, &part);
}

fn of_windows(bench: &Bench, disk: &str, name: &str) -> Vec<u8> {
    cut(&bench.path(disk), NTFS.0, NTFS.1, &bench.path("judged"));
    let volume = bench.arg("judged");
    tool("ntfsfix", &["-n", &volume]);
    common::command("ntfscat").args(["-f", &volume, name]).output().unwrap().stdout
}

fn of_linux(bench: &Bench, disk: &str, name: &str) -> Vec<u8> {
    cut(&bench.path(disk), EXT4.0, EXT4.1, &bench.path("judged"));
    let volume = bench.arg("judged");
    tool("e2fsck", &["-fn", &volume]);
    tool("debugfs", &["-R", &format!("dump {name} {}", bench.arg("dumped")), &volume]);
    fs::read(bench.path("dumped")).unwrap()
}

fn beginning_only(bytes: &[u8], original: &[u8], header: usize) -> bool {
    bytes.len() == original.len()
        && bytes[..header] == original[..header]
        && bytes[header..].iter().all(|byte| *byte == 0)
}

#[test]
fn only_the_beginnings_of_files_that_systems_make_anew_are_stored() {
    let bench = Bench::new();
    let page = headed(b"whatever", 1, 20 << 20);
    let woken = headed(b"WAKE", 2, 10 << 20);
    let other = noise(3, 5 << 20);
    let files = [
        ("pagefile.sys", page.clone()),
        ("hiberfil.sys", woken.clone()),
        ("pagefile.bak", other.clone()),
    ];
    make_disk(&bench, &files);
    let report = bench.capture("disk");
    let told: Vec<&str> = report["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["/pagefile.sys", "/hiberfil.sys", "/swapfile"]);
    assert!(report["read"].as_u64().unwrap() < 40 * MIB, "{report}");
    bench.restore("out", &[]);
    assert!(beginning_only(&of_windows(&bench, "out", "pagefile.sys"), &page, HEADER));
    assert!(beginning_only(&of_windows(&bench, "out", "hiberfil.sys"), &woken, HEADER));
    assert!(of_windows(&bench, "out", "pagefile.bak") == other);
    let swap = of_linux(&bench, "disk", "/swapfile");
    assert!(beginning_only(&of_linux(&bench, "out", "/swapfile"), &swap, 4096));
    let label = tool("blkid", &["-p", "-o", "value", "-s", "LABEL", &bench.arg("dumped")]);
    assert_eq!(label.trim(), "made-anew");
    assert!(of_linux(&bench, "out", "/swap.img") == noise(6, 3 << 20));
    assert!(of_linux(&bench, "out", "/var/kept") == noise(7, 3 << 20));
    // What they hold is in no further capture either.
    let again =
        [("pagefile.sys", headed(b"whatever", 9, 20 << 20)), files[1].clone(), files[2].clone()];
    fs::remove_file(bench.path("part")).unwrap();
    make_disk(&bench, &again);
    let report = bench.capture("disk");
    assert!(report["added"].as_u64().unwrap() < 8 * MIB, "{report}");
    // All of it, when that is wanted; a clone is whole.
    bench.run(&["capture", &bench.arg("disk"), "--keep-swap-files"]).ended(0);
    bench.restore("whole", &[]);
    assert!(of_windows(&bench, "whole", "pagefile.sys") == again[0].1);
    assert!(of_linux(&bench, "whole", "/swapfile") == of_linux(&bench, "disk", "/swapfile"));
    let to = bench.arg("cloned");
    bench.run(&["clone", &bench.arg("disk"), &to, "--erase", &to]).ended(0);
    assert!(of_windows(&bench, "cloned", "pagefile.sys") == again[0].1);
}

#[test]
fn a_crash_dump_a_hibernated_system_and_what_is_only_called_so_are_kept() {
    for (file, head) in [
        ("pagefile.sys", &b"PAGEDU64"[..]),
        ("swapfile.sys", &b"PAGEDUMP"[..]),
        ("hiberfil.sys", &b"????"[..]),
    ] {
        let bench = Bench::new();
        let content = headed(head, 4, 6 << 20);
        make_disk(&bench, &[(file, content.clone())]);
        let report = bench.capture("disk");
        let left_out = report["left_out"].to_string();
        assert!(!left_out.contains(file), "{left_out}");
        bench.restore("out", &[]);
        assert!(of_windows(&bench, "out", file) == content, "{file}");
        // Whatever else differs, it is in the swap file.
        assert!(!same(&bench.path("disk"), &bench.path("out")));
    }
}

#[test]
fn files_and_folders_are_left_out_when_that_is_asked_for() {
    let bench = Bench::new();
    let film = noise(11, 9 << 20);
    make_disk(&bench, &[("film.mkv", film.clone()), ("letter", noise(12, 3000))]);
    // A folder with a file, with one that has two names, and with one of no blocks of its own.
    let part = bench.path("part");
    cut(&bench.path("disk"), EXT4.0, EXT4.1, &part);
    fs::write(bench.path("large"), noise(13, 6 << 20)).unwrap();
    let commands = format!(
        "mkdir films\ncd films\nmkdir deep\nwrite {0} one\nwrite {0} linked\nln linked /other\nset_inode_field \
         linked links_count 2\nwrite {0} deep/two\nwrite /dev/null empty\n",
        bench.arg("large")
    );
    fs::write(bench.path("script"), commands).unwrap();
    tool("debugfs", &["-w", "-f", &bench.arg("script"), part.to_str().unwrap()]);
    put(&bench.path("disk"), EXT4.0, &part);
    for (wrong, why) in [
        ("1/nothing", "nothing of that name"),
        ("7/x", "no such partition"),
        ("film.mkv", "is no partition and path"),
    ] {
        let ended = bench.run(&["capture", &bench.arg("disk"), "--exclude", wrong]);
        assert!(matches!(ended.code, Some(2 | 4)), "{:?}", ended.code);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    let disk = bench.arg("disk");
    let excluded = ["--exclude", "1/film.mkv", "--exclude", "2/films/"];
    let report = bench.run(&[&["capture", &disk, "--json"][..], &excluded].concat()).ended(0);
    let report = report.result();
    let left_out = report["left_out"].as_array().unwrap();
    let asked: Vec<_> = left_out.iter().filter(|file| file["asked"] == true).collect();
    let bytes = |at: usize| asked[at]["bytes"].as_u64().unwrap();
    assert_eq!((asked[0]["path"].as_str(), bytes(0)), (Some("/film.mkv"), 9 << 20));
    assert_eq!((asked[1]["path"].as_str(), bytes(1)), (Some("/films"), 12 << 20));
    let images = bench.run(&["images"]).ended(0).stdout;
    assert!(images.contains("1/film.mkv, 2/films"), "{images}");
    let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan"]).ended(0).stdout;
    assert!(plan.contains("was left out of the image, and is lost"), "{plan}");
    bench.restore("out", &[]);
    assert!(beginning_only(&of_windows(&bench, "out", "film.mkv"), &film, 0));
    assert!(of_windows(&bench, "out", "letter") == noise(12, 3000));
    let large = noise(13, 6 << 20);
    for name in ["/films/one", "/films/deep/two"] {
        assert!(beginning_only(&of_linux(&bench, "out", name), &large, 0), "{name}");
    }
    for name in ["/films/linked", "/other"] {
        assert!(of_linux(&bench, "out", name) == large, "{name}");
    }
}
