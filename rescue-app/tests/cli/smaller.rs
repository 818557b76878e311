//! Filesystems that are made smaller on the way to a disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::exfat_maker::Maker;
use common::{noise, tool};

use crate::support::{Bench, MIB, cut, put, same};

const SIZE: u64 = 520 * MIB;
const EXT4: (u64, u64) = (MIB, 300 * MIB);
const NTFS: (u64, u64) = (301 * MIB, 200 * MIB);

/// Files of a tree by their names, with what they hold.
fn files() -> BTreeMap<String, Vec<u8>> {
    let large = (0..12u64).map(|at| (format!("large-{at}"), noise(at, 3 << 20)));
    let small = (0..200u64).map(|at| (format!("small-{at}"), noise(at + 50, 700)));
    large.chain(small).collect()
}

/// A disk with an ext4 and an NTFS whose files lie behind where others were, so that all of them have
/// to move.
fn make_disk(bench: &Bench) -> PathBuf {
    let disk = bench.path("disk");
    File::create(&disk).unwrap().set_len(SIZE).unwrap();
    let path = disk.to_str().unwrap();
    tool("sgdisk", &["-n1:1M:+300M", "-t1:8300", "-n2:301M:+200M", "-t2:0700", path]);
    let part = bench.path("part");
    let name = part.to_str().unwrap();
    make_ext4(bench, &part);
    put(&disk, EXT4.0, &part);
    fs::remove_file(&part).unwrap();
    File::create(&part).unwrap().set_len(NTFS.1).unwrap();
    let sector = (NTFS.0 / 512).to_string();
    tool("mkntfs", &["-q", "-F", "-f", "-s", "512", "-p", &sector, "-H", "255", "-S", "63", name]);
    let filler = bench.path("filler");
    fs::write(&filler, vec![7; 110 << 20]).unwrap();
    tool("ntfscp", &["-f", "-q", name, filler.to_str().unwrap(), "filler"]);
    for (file, bytes) in files() {
        fs::write(bench.path("content"), bytes).unwrap();
        tool("ntfscp", &["-f", "-q", name, &bench.arg("content"), &file]);
    }
    fs::write(&filler, [7]).unwrap();
    // ntfscp writes over the file and cuts it.
    tool("ntfscp", &["-f", "-q", name, filler.to_str().unwrap(), "filler"]);
    put(&disk, NTFS.0, &part);
    disk
}

fn make_ext4(bench: &Bench, part: &Path) {
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    File::create(part).unwrap().set_len(EXT4.1).unwrap();
    fs::write(tree.join("filler"), vec![7; 200 << 20]).unwrap();
    let path = part.to_str().unwrap();
    tool("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "data", "-d", tree.to_str().unwrap(), path]);
    let mut script: String = files().keys().map(|name| format!("write {name} {name}\n")).collect();
    script += "rm filler\nsymlink link large-1\n";
    let folder = bench.path("content-of-ext4");
    fs::create_dir(&folder).unwrap();
    for (name, bytes) in files() {
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("script"), script).unwrap();
    let commands = format!("cd {} && debugfs -w -f script {path}", folder.to_str().unwrap());
    tool("sh", &["-c", &commands]);
    tool("e2fsck", &["-fn", path]);
}

pub fn places(disk: &Path) -> Vec<(u64, u64)> {
    let table = tool("sfdisk", &["-J", disk.to_str().unwrap()]);
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap().clone();
    let bytes = |value: &serde_json::Value| value.as_u64().unwrap() * 512;
    partitions.iter().map(|it| (bytes(&it["start"]), bytes(&it["size"]))).collect()
}

/// Both filesystems by their own tools, and all of their files.
fn judge(bench: &Bench, disk: &Path) {
    let verdict = tool("sgdisk", &["-v", disk.to_str().unwrap()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let (part, dumped) = (bench.path("judged"), bench.path("dumped"));
    let name = part.to_str().unwrap();
    let [ext4, ntfs] = places(disk)[..] else { panic!("other partitions") };
    cut(disk, ext4.0, ext4.1, &part);
    tool("e2fsck", &["-fn", name]);
    for (file, bytes) in files() {
        tool("debugfs", &["-R", &format!("dump /{file} {}", dumped.to_str().unwrap()), name]);
        assert!(fs::read(&dumped).unwrap() == bytes, "{file} of the ext4");
    }
    cut(disk, ntfs.0, ntfs.1, &part);
    tool("ntfsfix", &["-n", name]);
    let facts = tool("ntfsresize", &["--info", "--force", "--no-progress-bar", name]);
    assert!(facts.contains("Current volume size"), "{facts}");
    for (file, bytes) in files() {
        let stored = common::command("ntfscat").args(["-f", name, &file]).output().unwrap().stdout;
        assert!(stored == bytes, "{file} of the NTFS");
    }
    let sector = u32::try_from(ntfs.0 / 512).unwrap().to_le_bytes();
    let bytes = fs::read(&part).unwrap();
    assert_eq!(bytes[28..32], sector, "hidden sectors");
    let backup = bytes.len() - 512;
    assert_eq!(bytes[backup + 28..backup + 32], sector, "hidden sectors of the backup");
}

#[test]
fn filesystems_are_made_smaller_and_hold_the_same() {
    let bench = Bench::new();
    let disk = make_disk(&bench);
    judge(&bench, &disk);
    bench.capture("disk");
    let out = bench.path("out");
    File::create(&out).unwrap().set_len(220 * MIB).unwrap();
    let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan", "--json"]).ended(0);
    let plan = plan.result();
    let tools: Vec<_> = plan["shrinks"].as_array().unwrap().iter().map(|it| &it["tool"]).collect();
    assert_eq!(tools, ["resize2fs", "ntfsresize"]);
    bench.restore("out", &[]);
    judge(&bench, &out);
    let [ext4, ntfs] = places(&out)[..] else { panic!("other partitions") };
    assert!(ext4.1 < 140 * MIB && ntfs.1 < 140 * MIB, "{ext4:?} {ntfs:?}");
    // Every filesystem fills its partition.
    cut(&out, ext4.0, ext4.1, &bench.path("part"));
    let facts = tool("dumpe2fs", &["-h", &bench.arg("part")]);
    let field = |name: &str| -> u64 {
        let line = facts.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(field("Block count:") * field("Block size:"), ext4.1);
    // Once more, over what is there by now; and by a clone.
    fs::copy(&out, bench.path("first")).unwrap();
    bench.restore("out", &["--only-changed"]);
    judge(&bench, &out);
    let cloned = bench.path("cloned");
    File::create(&cloned).unwrap().set_len(220 * MIB).unwrap();
    let (from, to) = (bench.arg("disk"), bench.arg("cloned"));
    bench.run(&["clone", &from, &to, "--erase", &to]).ended(0);
    judge(&bench, &cloned);
    // One alone, by its size, on a disk that would take all.
    let sized = bench.path("sized");
    File::create(&sized).unwrap().set_len(SIZE).unwrap();
    bench.restore("sized", &["--size-of", "1=100M"]);
    judge(&bench, &sized);
    assert_eq!(places(&sized), [(MIB, 100 * MIB), NTFS]);
    // Into a smaller partition that is there.
    let target = bench.path("target");
    File::create(&target).unwrap().set_len(130 * MIB).unwrap();
    tool("sgdisk", &["-n1:1M:+110M", "-t1:8300", target.to_str().unwrap()]);
    bench.restore("target", &["--partitions", "1"]);
    cut(&target, MIB, 110 * MIB, &bench.path("part"));
    tool("e2fsck", &["-fn", &bench.arg("part")]);
    let script = format!("dump /large-3 {}", bench.arg("dumped"));
    tool("debugfs", &["-R", &script, &bench.arg("part")]);
    assert!(fs::read(bench.path("dumped")).unwrap() == files()["large-3"]);
}

#[test]
fn an_ntfs_that_its_tool_refuses_is_made_smaller_all_the_same() {
    let bench = Bench::new();
    let disk = make_disk(&bench);
    let part = bench.path("part");
    cut(&disk, NTFS.0, NTFS.1, &part);
    // Marked, and no file's: as Windows 11 leaves some.
    let runs = tool("ntfscluster", &["-f", "-F", "$Bitmap", part.to_str().unwrap()]);
    let cluster: u64 =
        runs.lines().last().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let first = usize::try_from(cluster * 4096).unwrap();
    let mut bytes = fs::read(&part).unwrap();
    let bitmap = &bytes[first..first + 6000];
    let free = bitmap.windows(400).position(|part| part.iter().all(|byte| *byte == 0)).unwrap();
    bytes[first + free..][..400].fill(0xff);
    fs::write(&part, bytes).unwrap();
    let mut tool = common::command("ntfsresize");
    let info = tool.args(["--info", "--force", "--no-progress-bar"]).arg(&part).output().unwrap();
    assert!(!info.status.success(), "{info:?}");
    put(&disk, NTFS.0, &part);
    bench.capture("disk");
    let out = bench.path("out");
    File::create(&out).unwrap().set_len(220 * MIB).unwrap();
    bench.restore("out", &[]);
    judge(&bench, &out);
}

/// A folder with a program of this name that does `what`.
fn fake(bench: &Bench, name: &str, what: &str) -> PathBuf {
    let folder = bench.path("fake");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let program = folder.join(name);
    fs::write(&program, format!("#!/bin/sh\n{what}\n")).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_program_that_fails_or_lies_leaves_the_target_as_it_was() {
    let bench = Bench::new();
    make_disk(&bench);
    bench.capture("disk");
    let out = bench.path("out");
    fs::write(&out, noise(77, 220 << 20)).unwrap();
    fs::copy(&out, bench.path("before")).unwrap();
    let path = bench.arg("out");
    let cases = [
        ("resize2fs", "echo no room here >&2; exit 1", "no room here"),
        // Ends well, and has done nothing.
        ("resize2fs", "exit 0", "not believed"),
        ("ntfsresize", "exit 0", "not believed"),
        ("ntfsresize", "kill -9 $$", "ntfsresize"),
        ("e2fsck", "echo it is beyond repair; exit 8", "beyond repair"),
    ];
    for (name, what, why) in cases {
        let folder = fake(&bench, name, what);
        let mut command = bench.command(&["restore", "latest", &path, "--erase", &path]);
        let rest = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{rest}", folder.to_str().unwrap()));
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{name}: {what}");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("nothing was written to the target"), "{said}");
        assert!(same(&out, &bench.path("before")), "{name}: {what}: the target was changed");
    }
    // What was shown is shown no longer.
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains("/lifeboat-") || !mounts.contains(" fuse.lifeboat "), "{mounts}");
}

#[test]
fn a_filesystem_that_needs_its_checker_is_told_of() {
    let bench = Bench::new();
    let disk = bench.path("disk");
    File::create(&disk).unwrap().set_len(SIZE).unwrap();
    tool("sgdisk", &["-n1:1M:+300M", "-t1:8300", disk.to_str().unwrap()]);
    let part = bench.path("part");
    make_ext4(&bench, &part);
    // A link too few: the files are all there.
    tool("debugfs", &["-w", "-R", "set_inode_field large-2 links_count 2", part.to_str().unwrap()]);
    put(&disk, EXT4.0, &part);
    bench.capture("disk");
    let out = bench.path("out");
    File::create(&out).unwrap().set_len(150 * MIB).unwrap();
    let report = bench.restore("out", &[]);
    assert!(report["warnings"].to_string().contains("e2fsck corrected"), "{report}");
    let (start, size) = places(&out)[0];
    cut(&out, start, size, &part);
    tool("e2fsck", &["-fn", part.to_str().unwrap()]);
}

/// A disk with one filesystem, in a partition of `mib`, of which `make` gets the file's name last.
pub fn one_partition(bench: &Bench, mib: u64, make: &[&str]) -> PathBuf {
    let disk = bench.path("disk");
    File::create(&disk).unwrap().set_len((mib + 2) * MIB).unwrap();
    tool("sgdisk", &[&format!("-n1:1M:+{mib}M"), "-t1:8300", disk.to_str().unwrap()]);
    let part = bench.path("part");
    File::create(&part).unwrap().set_len(mib * MIB).unwrap();
    tool(make[0], &[&make[1..], &[part.to_str().unwrap()]].concat());
    sparsely(&part, 0, &disk, MIB, mib);
    bench.capture("disk");
    disk
}

/// Copies so many mebibytes, but for zeros: these disks are larger than what is on them.
pub fn sparsely(from: &Path, skip: u64, to: &Path, seek: u64, mib: u64) {
    let [from, to] =
        [("if", from), ("of", to)].map(|(key, path)| format!("{key}={}", path.display()));
    let [skip, seek] =
        [("skip", skip), ("seek", seek)].map(|(key, at)| format!("{key}={}", at / MIB));
    let count = format!("count={mib}");
    tool("dd", &["bs=1M", "conv=sparse,notrunc", "status=none", &from, &to, &skip, &seek, &count]);
}

/// Partition 1 of a disk as a file.
pub fn first(bench: &Bench, disk: &Path) -> String {
    let (start, size) = places(disk)[0];
    let part = bench.path("part");
    let _ = fs::remove_file(&part);
    File::create(&part).unwrap().set_len(size).unwrap();
    sparsely(disk, start, &part, 0, size / MIB);
    bench.arg("part")
}

#[test]
fn a_btrfs_is_made_smaller_and_larger_by_the_kernel() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    for (name, bytes) in files() {
        fs::write(tree.join(name), bytes).unwrap();
    }
    one_partition(&bench, 2000, &["mkfs.btrfs", "-q", "-r", tree.to_str().unwrap()]);
    for (name, mib, more) in [("small", 900, &[][..]), ("large", 2500, &["--layout", "fit"])] {
        let out = bench.path(name);
        File::create(&out).unwrap().set_len(mib * MIB).unwrap();
        bench.restore(name, more);
        let part = first(&bench, &out);
        tool("btrfs", &["check", "--readonly", "--check-data-csum", &part]);
        let facts = tool("btrfs", &["inspect-internal", "dump-super", &part]);
        let size = facts.lines().find(|line| line.starts_with("total_bytes")).unwrap();
        let size: u64 = size.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(size, places(&out)[0].1, "{name}");
        let folder = bench.path("mounted");
        let _ = fs::create_dir(&folder);
        tool("mount", &["-o", "loop,ro", &part, folder.to_str().unwrap()]);
        let same = tool("diff", &["-r", tree.to_str().unwrap(), folder.to_str().unwrap()]);
        tool("umount", &[folder.to_str().unwrap()]);
        assert_eq!(same, "", "{name}");
    }
}

#[test]
fn an_xfs_grows_within_reason() {
    let bench = Bench::new();
    one_partition(&bench, 320, &["mkfs.xfs", "-q"]);
    let out = bench.path("out");
    File::create(&out).unwrap().set_len(700 * MIB).unwrap();
    bench.restore("out", &["--layout", "fit"]);
    let part = first(&bench, &out);
    tool("xfs_repair", &["-n", &part]);
    let facts = tool("xfs_db", &["-r", "-c", "sb 0", "-c", "p dblocks", &part]);
    let blocks: u64 = facts.trim().rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(blocks * 4096, places(&out)[0].1);
    // A hundred times as large it would have hundreds of allocation groups.
    let path = bench.arg("huge");
    File::create(&path).unwrap().set_len(40_000 * MIB).unwrap();
    let plan =
        bench.run(&["restore", "latest", &path, "--plan", "--layout", "fit"]).ended(0).stdout;
    assert!(plan.contains("its XFS keeps its size"), "{plan}");
}

/// Where the partitions of a disk with a FAT32 and an exFAT are.
const FAT32: (u64, u64) = (MIB, 48 * MIB);
const EXFAT: (u64, u64) = (49 * MIB, 48 * MIB);

/// A disk with both, whose files lie behind where others were; those of the exFAT.
fn make_stick(bench: &Bench) -> (PathBuf, BTreeMap<String, Vec<u8>>) {
    let disk = bench.path("disk");
    File::create(&disk).unwrap().set_len(98 * MIB).unwrap();
    let path = disk.to_str().unwrap();
    tool("sgdisk", &["-n1:1M:+48M", "-t1:ef00", "-n2:49M:+48M", "-t2:0700", path]);
    let part = bench.path("part");
    let name = part.to_str().unwrap();
    File::create(&part).unwrap().set_len(FAT32.1).unwrap();
    tool("mkfs.fat", &["-F", "32", "-s", "1", "-h", "2048", "-n", "EFI", name]);
    let (filler, tree) = (bench.path("filler"), bench.path("tree"));
    fs::write(&filler, vec![7; 24 << 20]).unwrap();
    tool("mcopy", &["-i", name, filler.to_str().unwrap(), "::/filler"]);
    fs::create_dir(&tree).unwrap();
    for (file, bytes) in fat_files() {
        fs::write(tree.join(file), bytes).unwrap();
    }
    tool("mcopy", &["-s", "-i", name, tree.to_str().unwrap(), "::/tree"]);
    tool("mdel", &["-i", name, "::/filler"]);
    put(&disk, FAT32.0, &part);
    let mut maker = Maker::new(48, &["-L", "DATA"]);
    let files = maker.fill(18 << 20);
    fs::write(&part, maker.bytes).unwrap();
    put(&disk, EXFAT.0, &part);
    (disk, files)
}

fn fat_files() -> BTreeMap<String, Vec<u8>> {
    (0..60).map(|at| (format!("a file with number {at}"), noise(at * 2, 120_000))).collect()
}

/// Both filesystems by dosfstools, mtools, exfatprogs and The Sleuth Kit; their places and sizes.
fn judge_stick(bench: &Bench, disk: &Path, files: &BTreeMap<String, Vec<u8>>) -> Vec<(u64, u64)> {
    let verdict = tool("sgdisk", &["-v", disk.to_str().unwrap()]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let (part, out) = (bench.path("judged"), tempfile::tempdir().unwrap());
    let (name, folder) = (part.to_str().unwrap(), out.path().to_str().unwrap());
    let found = places(disk);
    let [fat, exfat] = found[..] else { panic!("other partitions") };
    cut(disk, fat.0, fat.1, &part);
    tool("fsck.fat", &["-n", name]);
    let mut mcopy = common::command("mcopy");
    mcopy.args(["-s", "-n", "-i", name, "::/tree", folder]).env("MTOOLS_SKIP_CHECK", "1");
    common::stdout_of(&mut mcopy);
    for (file, bytes) in fat_files() {
        assert!(fs::read(out.path().join("tree").join(&file)).unwrap() == bytes, "{file}");
    }
    let bytes = fs::read(&part).unwrap();
    let field = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    for boot in [0, 6 * 512] {
        assert_eq!(field(boot + 32) * 512, fat.1, "it fills its partition");
        assert_eq!(field(boot + 28) * 512, fat.0, "hidden sectors");
    }
    cut(disk, exfat.0, exfat.1, &part);
    tool("fsck.exfat", &["-n", name]);
    let bytes = fs::read(&part).unwrap();
    let sectors = u64::from_le_bytes(bytes[72..80].try_into().unwrap());
    assert_eq!(sectors * 512, exfat.1, "it fills its partition");
    tool("tsk_recover", &["-a", "-f", "exfat", name, folder]);
    for (file, content) in files.iter().filter(|it| !it.1.is_empty()) {
        assert!(fs::read(out.path().join(file)).unwrap() == *content, "{file}");
    }
    found
}

#[test]
fn a_fat32_and_an_exfat_are_made_smaller_without_other_programs() {
    let bench = Bench::new();
    let (disk, files) = make_stick(&bench);
    judge_stick(&bench, &disk, &files);
    bench.capture("disk");
    let out = bench.path("out");
    File::create(&out).unwrap().set_len(75 * MIB).unwrap();
    let plan = bench.run(&["restore", "latest", &bench.arg("out"), "--plan", "--json"]).ended(0);
    let plan = plan.result();
    let tools: Vec<_> = plan["shrinks"].as_array().unwrap().iter().map(|it| &it["tool"]).collect();
    assert_eq!(tools, ["lifeboat", "lifeboat"]);
    bench.restore("out", &[]);
    let found = judge_stick(&bench, &out, &files);
    assert!(found[0].1 < 46 * MIB && found[1].1 < 42 * MIB, "{found:?}");
    // As small as can be, by a clone; and less than that is refused with that size.
    let small = bench.path("small");
    fs::write(&small, noise(12, 20 << 20)).unwrap();
    let (from, to) = (bench.arg("disk"), bench.arg("small"));
    let refused = bench.run(&["clone", &from, &to, "--erase", &to]).ended(4).stderr;
    let (_, bytes) = refused.split_once(" (").unwrap().1.split_once('(').unwrap();
    let least: u64 = bytes.split(' ').next().unwrap().parse().unwrap();
    assert!(least < 70 * MIB, "{refused}");
    File::create(&small).unwrap().set_len(least).unwrap();
    bench.run(&["clone", &from, &to, "--erase", &to]).ended(0);
    judge_stick(&bench, &small, &files);
    // One of them alone.
    let sized = bench.path("sized");
    File::create(&sized).unwrap().set_len(98 * MIB).unwrap();
    bench.restore("sized", &["--size-of", "2=30M"]);
    assert_eq!(judge_stick(&bench, &sized, &files), [FAT32, (EXFAT.0, 30 * MIB)]);
}
