//! What our readers say of files, and their content, held against what filled them: the
//! filesystems' own tools, ntfs-3g and this machine's kernel.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Random, output_of, tool};
use lifeboat::bytes::ReadAt;
use lifeboat::inspect::files;
use lifeboat::volume::{EntryKind, FileId, FileTree, Scrutiny, Stat};
use md5::{Digest, Md5};
use tempfile::TempDir;

use crate::tools::{self, Mount, Volume};
use crate::{folders, ntfs};

const MIB: u64 = 1 << 20;

/// What a filesystem keeps besides names and content.
#[derive(Clone, Copy)]
struct Keeps {
    /// Owner, group, mode and links.
    owners: bool,
    /// Parts of a second that times of change fall into; `None` where they are not compared.
    seconds: Option<i128>,
    /// Whether what it has lies on the volume as it is.
    as_it_is: bool,
}

const UNIX: Keeps = Keeps { owners: true, seconds: Some(1), as_it_is: true };

/// The path of every file of a tree.
fn all_of(tree: &dyn FileTree) -> Vec<(PathBuf, FileId, EntryKind)> {
    let mut all = Vec::new();
    let mut folders = vec![(PathBuf::new(), tree.root())];
    while let Some((path, folder)) = folders.pop() {
        let listed = tree.list(folder, &mut |entry| {
            let path = path.join(String::from_utf8(entry.name.to_vec()).unwrap());
            if entry.kind == EntryKind::Folder {
                folders.push((path.clone(), entry.file));
            }
            all.push((path, entry.file, entry.kind));
        });
        listed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    all
}

/// All of a file, in pieces of a size that fits nothing.
fn read_all(file: &dyn ReadAt) -> Vec<u8> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < file.size() {
        let len = usize::try_from((file.size() - at).min(77_777)).unwrap();
        all.extend(file.read_vec(at, len).unwrap());
        at += len as u64;
    }
    all
}

fn assert_content(file: &dyn ReadAt, expected: &[u8], name: &str) {
    assert_eq!(file.size(), expected.len() as u64, "{name}");
    let found = read_all(file);
    let differs = found.iter().zip(expected).position(|(one, other)| one != other);
    assert_eq!(differs, None, "{name}: the first byte that differs");
    let mut random = Random::new(expected.len() as u64);
    for _ in 0..20 {
        let at = usize::try_from(random.below(file.size() + 1)).unwrap();
        let len = usize::try_from(random.below((expected.len() - at + 1) as u64)).unwrap();
        let piece = file.read_vec(at as u64, len).unwrap();
        assert!(piece == expected[at..at + len], "{name}: {len} bytes from {at}");
    }
    assert!(file.read_vec(file.size(), 1).is_err(), "{name}: behind the end");
}

fn assert_stat(found: &Stat, expected: &fs::Metadata, keeps: Keeps, name: &str) {
    if found.kind == EntryKind::File {
        assert_eq!(
            (found.size, u64::from(found.links)),
            (expected.len(), expected.nlink()),
            "{name}"
        );
    }
    if keeps.owners {
        let has = found.permissions.unwrap();
        let found = (has.uid, has.gid, u32::from(has.mode));
        let expected = (expected.uid(), expected.gid(), expected.mode() & 0o7777);
        assert_eq!(found, expected, "{name}");
    }
    if let Some(parts) = keeps.seconds.filter(|_| found.kind != EntryKind::Other) {
        let moment = |seconds: i64, nanoseconds: i64| {
            (i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)) * parts / 1_000_000_000
        };
        let found = found.times.modified.unwrap();
        let found = moment(found.unix_timestamp(), found.nanosecond().into());
        assert_eq!(found, moment(expected.mtime(), expected.mtime_nsec()), "{name}: its time");
    }
}

/// Compares all that is at `root` with what our reader finds in an image.
fn compare(image: &Path, root: &Path, keeps: Keeps, what: &str) {
    let volume = Volume::open(image);
    let tree = files(&volume, Scrutiny::Strict).unwrap_or_else(|error| panic!("{what}: {error}"));
    let all: Vec<_> = all_of(tree.as_ref())
        .into_iter()
        .filter(|(path, ..)| !path.starts_with("lost+found"))
        .collect();
    let mut compared = 0;
    for (path, file, kind) in &all {
        let name = format!("{what}: {}", path.display());
        let (there, stat) = (root.join(path), tree.stat(*file).unwrap());
        assert_eq!(stat.kind, *kind, "{name}");
        assert_stat(&stat, &fs::symlink_metadata(&there).unwrap(), keeps, &name);
        match kind {
            EntryKind::File => {
                let content = fs::read(&there).unwrap();
                let open = tree.open(*file).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_content(open.as_ref(), &content, &name);
                if keeps.as_it_is {
                    assert_extents(&volume, tree.as_ref(), *file, &content, &name);
                }
                compared += 1;
            }
            EntryKind::Link => {
                let target = fs::read_link(&there).unwrap().into_os_string().into_encoded_bytes();
                assert_eq!(tree.link_target(*file).unwrap(), target, "{name}");
                assert!(tree.open(*file).is_err(), "{name}");
            }
            EntryKind::Folder | EntryKind::Other => {
                assert!(tree.open(*file).is_err() && tree.link_target(*file).is_err(), "{name}");
            }
        }
    }
    let there = folders::walked(root);
    assert_eq!(all.len(), there.keys().filter(|path| !path.starts_with("lost+found")).count());
    assert!(compared > 10, "{what}: {compared} files");
}

/// The whole blocks of a file stand in its extents, sectors that no other file has.
fn assert_extents(volume: &Volume, tree: &dyn FileTree, file: FileId, content: &[u8], name: &str) {
    let mut sectors: HashMap<Vec<u8>, bool> = HashMap::new();
    // What is short may lie in a record.
    for sector in content.chunks_exact(512).filter(|sector| sector.iter().any(|byte| *byte != 0)) {
        sectors.insert(sector.to_vec(), false);
    }
    tree.extents(file, &mut |extent| {
        let len = usize::try_from(extent.end - extent.start).unwrap();
        for sector in volume.read_vec(extent.start, len).unwrap().chunks_exact(512) {
            sectors.entry(sector.to_vec()).and_modify(|seen| *seen = true);
        }
    })
    .unwrap();
    let missing = sectors.values().filter(|seen| !**seen).count();
    assert!(missing == 0 || content.len() < 4096, "{name}: {missing} of {} sectors", sectors.len());
}

/// Files of many shapes.
fn fill(root: &Path, seed: u64) {
    let mut random = Random::new(seed);
    tools::make_tree(&root.join("tree"), seed, 3 * MIB);
    fs::create_dir_all(root.join("shapes/empty folder")).unwrap();
    let path = |name: &str| root.join("shapes").join(name);
    fs::write(path("nothing"), "").unwrap();
    for len in [1, 59, 60, 61, 150, 500, 700, 4095, 4096, 4097, 65_537] {
        fs::write(path(&format!("{len} bytes")), random.bytes(len)).unwrap();
    }
    fs::write(path("Grüße, 大きさ"), random.bytes(3000)).unwrap();
    let text: Vec<String> =
        (0..40_000).map(|line| format!("line {line}, {}\n", line % 7)).collect();
    fs::write(path("text"), text.concat()).unwrap();
    // Two files in pieces by turns, which no other file has.
    let pieces = ["one", "other"].map(|name| File::create(path(name)).unwrap());
    for at in 0..60 {
        for file in &pieces {
            file.write_all_at(&random.bytes(8192), at * 8192).unwrap();
            file.sync_all().unwrap();
        }
    }
}

/// Holes, links, owners, modes and times.
fn fill_as_unix(root: &Path, seed: u64) {
    fill(root, seed);
    let mut random = Random::new(seed + 1);
    let path = |name: &str| root.join("shapes").join(name);
    sparse(&path("holes"), &mut random);
    symlink("../tree", path("link")).unwrap();
    symlink("x/".repeat(100), path("long link")).unwrap();
    symlink("y/".repeat(500), path("very long link")).unwrap();
    fs::hard_link(path("text"), path("text again")).unwrap();
    tool("mkfifo", &[path("pipe")]);
    fs::set_permissions(path("500 bytes"), Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(path("empty folder"), Permissions::from_mode(0o1700)).unwrap();
    std::os::unix::fs::chown(path("700 bytes"), Some(1234), Some(70_000)).unwrap();
    std::os::unix::fs::lchown(path("link"), Some(99), Some(98)).unwrap();
    for (name, time) in [
        ("4095 bytes", "1999-12-31T23:59:59.123456789Z"),
        ("4096 bytes", "2037-01-02T03:04:05.5Z"),
        ("empty folder", "2011-11-11T11:11:11Z"),
    ] {
        tool("touch", &["-d", time, path(name).to_str().unwrap()]);
    }
}

fn sparse(path: &Path, random: &mut Random) {
    let file = File::create(path).unwrap();
    for at in [70_000, MIB + 3, 5 * MIB, 13 * MIB - 100] {
        file.write_all_at(&random.bytes(5000), at).unwrap();
    }
    file.set_len(20 * MIB + 1).unwrap();
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(size: u64) -> Self {
        let bench = Self { folder: TempDir::new().unwrap() };
        tools::old_medium(&bench.image(), size);
        fs::create_dir(bench.content()).unwrap();
        bench
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn content(&self) -> PathBuf {
        self.folder.path().join("content")
    }

    /// Runs a tool with the name of the image, and what else there is, at the end.
    fn make(&self, words: &str, more: &[&Path]) {
        let mut words: Vec<&str> = words.split_whitespace().collect();
        let program = words.remove(0);
        let image = self.image();
        words.extend(more.iter().map(|path| path.to_str().unwrap()));
        words.push(image.to_str().unwrap());
        tool(program, &words);
    }
}

#[test]
fn files_of_ext_are_what_they_were_made_from() {
    for options in [
        "-t ext4",
        "-t ext2 -b 1024 -O ^filetype",
        "-t ext3 -b 2048 -I 128",
        "-t ext4 -O inline_data -I 512",
        "-t ext4 -O bigalloc -C 16384",
        "-t ext4 -b 65536",
    ] {
        let bench = Bench::new(96 * MIB);
        fill_as_unix(&bench.content(), 11);
        if options.contains("inline_data") {
            // mke2fs leaves out of such a file the hole at its end.
            fs::remove_file(bench.content().join("shapes/holes")).unwrap();
        }
        bench.make(&format!("mke2fs -q -F {options} -d"), &[&bench.content()]);
        compare(&bench.image(), &bench.content(), UNIX, options);
    }
}

#[test]
fn files_of_ext4_are_what_the_kernel_shows() {
    for options in ["", "-O inline_data -I 512", "-O ^extents,^64bit -b 1024"] {
        let bench = Bench::new(96 * MIB);
        let image = bench.image();
        bench.make(&format!("mke2fs -q -F -t ext4 {options}"), &[]);
        {
            let mount = Mount::new(&image, "ext4", "rw");
            fill_as_unix(mount.path(), 12);
            let far = mount.path().join("shapes/61 bytes");
            tool("touch", &["-d", "2100-02-28T01:02:03.25Z", far.to_str().unwrap()]);
            // Room that was never written, before, between and behind what was.
            let room = mount.path().join("shapes/room");
            if options != "-O ^extents,^64bit -b 1024" {
                tool("fallocate", &["-l", "3M", room.to_str().unwrap()]);
            }
            let file =
                File::options().create(true).truncate(false).write(true).open(&room).unwrap();
            file.write_all_at(&Random::new(9).bytes(5000), MIB + 77).unwrap();
        }
        let mount = Mount::new(&image, "ext4", "ro,noload");
        let keeps = Keeps { seconds: Some(1_000_000_000), ..UNIX };
        compare(&image, mount.path(), keeps, options);
    }
}

#[test]
fn files_of_xfs_are_what_the_kernel_shows() {
    for options in ["", "-m crc=1,bigtime=0 -n size=16k -b size=1024"] {
        let bench = Bench::new(320 * MIB);
        bench.make(&format!("mkfs.xfs -q -f {options}"), &[]);
        {
            let mount = Mount::new(&bench.image(), "xfs", "rw");
            fill_as_unix(mount.path(), 13);
            let room = mount.path().join("shapes/room");
            tool("fallocate", &["-l", "3M", room.to_str().unwrap()]);
            let file = File::options().write(true).open(&room).unwrap();
            file.write_all_at(&Random::new(9).bytes(5000), MIB + 77).unwrap();
        }
        let mount = Mount::new(&bench.image(), "xfs", "ro,norecovery");
        let keeps = Keeps { seconds: Some(1_000_000_000), ..UNIX };
        compare(&bench.image(), mount.path(), keeps, options);
    }
}

#[test]
fn files_of_btrfs_are_what_the_kernel_shows() {
    for compression in ["no", "zlib", "lzo", "zstd"] {
        let bench = Bench::new(256 * MIB);
        bench.make("mkfs.btrfs -q -f", &[]);
        {
            let options = format!("rw,compress-force={compression}");
            let mount = Mount::new(&bench.image(), "btrfs", &options);
            fill_as_unix(mount.path(), 14);
            let path = |name: &str| mount.path().join("shapes").join(name);
            // Extents that begin and end inside of what was compressed together.
            let text = File::options().write(true).open(path("text")).unwrap();
            text.write_all_at(&[7; 20_000], 100_001).unwrap();
            text.sync_all().unwrap();
            tool("cp", &["--reflink=always".into(), path("text"), path("copy")]);
            File::options().write(true).open(path("copy")).unwrap().set_len(150_000).unwrap();
            tool("fallocate", &["-l", "3M", path("room").to_str().unwrap()]);
        }
        let said = Command::new("btrfs").arg("check").arg(bench.image()).output().unwrap();
        assert!(said.status.success());
        let mount = Mount::new(&bench.image(), "btrfs", "ro");
        let as_it_is = compression == "no";
        let keeps = Keeps { seconds: Some(1_000_000_000), as_it_is, ..UNIX };
        compare(&bench.image(), mount.path(), keeps, compression);
    }
}

#[test]
fn files_of_f2fs_are_what_they_were_made_from() {
    for features in ["", "-O extra_attr,inode_checksum,sb_checksum,inode_crtime"] {
        let bench = Bench::new(160 * MIB);
        fill_as_unix(&bench.content(), 15);
        // A link of a block, and one that is not a file, are not for this tool.
        for name in ["pipe", "text again", "very long link"] {
            fs::remove_file(bench.content().join("shapes").join(name)).unwrap();
        }
        bench.make(&format!("mkfs.f2fs -q -f {features}"), &[]);
        bench.make("sload.f2fs -f", &[&bench.content()]);
        // Owners and times are what the tool is told.
        let keeps = Keeps { owners: false, seconds: None, as_it_is: true };
        compare(&bench.image(), &bench.content(), keeps, features);
    }
}

/// Marks a folder as compressed, for what is made in it.
fn compress(folder: &Path) {
    let set = "import os, sys; path = sys.argv[1]; name = 'system.ntfs_attrib'; \
               bits = int.from_bytes(os.getxattr(path, name), 'little') | 0x800; \
               os.setxattr(path, name, bits.to_bytes(4, 'little'))";
    tool("python3", &["-c", set, folder.to_str().unwrap()]);
}

#[test]
fn files_of_ntfs_are_what_ntfs_3g_shows() {
    for (options, compressed) in [("", false), ("-c 512", true), ("", true), ("-c 65536", false)] {
        let bench = Bench::new(96 * MIB);
        let image = bench.image();
        ntfs::format(&image, options);
        {
            let mount = ntfs::Mount::new(&image, "compression");
            if compressed {
                compress(mount.path());
            }
            fill(mount.path(), 16);
            sparse(&mount.path().join("shapes/holes"), &mut Random::new(17));
            fs::hard_link(mount.path().join("shapes/text"), mount.path().join("again")).unwrap();
            let time = mount.path().join("shapes/4095 bytes");
            tool("touch", &["-d", "1999-12-31T23:59:59.1234567Z", time.to_str().unwrap()]);
        }
        let mount = ntfs::Mount::new(&image, "ro");
        let keeps = Keeps { owners: false, seconds: Some(10_000_000), as_it_is: !compressed };
        compare(&image, mount.path(), keeps, &format!("{options}, {compressed}"));
        drop(mount);
        // That it was compressed at all.
        let said = output_of("ntfsinfo", &["-f", "-F", "/shapes/text", image.to_str().unwrap()]);
        assert_eq!(said.contains("COMPRESSED"), compressed, "{options}: {said}");
    }
}

#[test]
fn files_of_fat_are_what_was_copied_to_them() {
    for (options, mib) in [("-F 12 -s 16", 24), ("-F 16", 40), ("-F 32 -s 1", 48)] {
        let bench = Bench::new(mib * MIB);
        fill(&bench.content(), 18);
        bench.make(&format!("mkfs.fat {options}"), &[]);
        let script = format!(
            "export TZ=UTC LC_ALL=C.UTF-8; cd '{}' && mcopy -s -m -Q -i '{}' * ::",
            bench.content().display(),
            bench.image().display()
        );
        tool("sh", &["-c", &script]);
        let keeps = Keeps { owners: false, seconds: None, as_it_is: true };
        compare(&bench.image(), &bench.content(), keeps, options);
    }
}

#[test]
fn times_and_attributes_of_fat_are_those_that_were_copied() {
    let bench = Bench::new(16 * MIB);
    let file = bench.content().join("FILE");
    fs::write(&file, "x").unwrap();
    tool("touch", &["-d", "2011-11-11T11:11:12Z", file.to_str().unwrap()]);
    bench.make("mkfs.fat -F 16", &[]);
    let image = bench.image();
    let script = format!(
        "export TZ=UTC; mcopy -m -i '{0}' '{1}' :: && mattrib +h +r -i '{0}' ::FILE",
        image.display(),
        file.display()
    );
    tool("sh", &["-c", &script]);
    let volume = Volume::open(&image);
    let tree = files(&volume, Scrutiny::Strict).unwrap();
    let (found, kind) = tree.lookup(tree.root(), b"file").unwrap().unwrap();
    assert_eq!(kind, EntryKind::File);
    let stat = tree.stat(found).unwrap();
    assert_eq!(stat.times.modified.unwrap().unix_timestamp(), 1_321_009_872);
    // FILE_ATTRIBUTE_READONLY, HIDDEN and ARCHIVE.
    assert_eq!(stat.attributes, Some(0x1 | 0x2 | 0x20));
    assert_eq!((stat.size, stat.links, stat.permissions), (1, 1, None));
}

#[test]
fn files_of_hfsplus_are_what_xorriso_was_given() {
    let scratch = TempDir::new().unwrap();
    let image = crate::hfsplus::xorriso_volume(scratch.path());
    let keeps = Keeps { owners: false, seconds: Some(1), as_it_is: true };
    compare(&image, &scratch.path().join("tree"), keeps, "hfsplus");
}

/// The files that `sums` names with their checksums, all of an image that a guest's kernel wrote.
pub fn check(image: &Path, sums: &str, name: &str) {
    let volume = Volume::open(image);
    let tree = files(&volume, Scrutiny::Strict).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected: HashMap<&str, &str> = sums
        .lines()
        .filter_map(|line| line.split_once("  ./"))
        .map(|(sum, path)| (path, sum))
        .collect();
    let mut count = 0;
    for (path, file, kind) in all_of(tree.as_ref()) {
        if kind == EntryKind::File {
            let content = read_all(tree.open(file).unwrap().as_ref());
            let found = hex::encode(Md5::digest(content));
            assert_eq!(
                expected.get(path.to_str().unwrap()),
                Some(&found.as_str()),
                "{name}: {path:?}"
            );
            count += 1;
        }
    }
    assert_eq!(count, expected.len(), "{name}");
}

#[test]
fn what_cannot_be_read_is_said_of_that_file_alone() {
    // fscrypt's flag, in ext.
    let bench = Bench::new(16 * MIB);
    fs::write(bench.content().join("secret"), "x".repeat(5000)).unwrap();
    fs::write(bench.content().join("plain"), "x".repeat(5000)).unwrap();
    bench.make("mke2fs -q -F -t ext4 -O ^metadata_csum -d", &[&bench.content()]);
    let image = bench.image();
    tool("debugfs", &["-w", "-R", "sif secret flags 0x80800", image.to_str().unwrap()]);
    let volume = Volume::open(&image);
    let tree = files(&volume, Scrutiny::Strict).unwrap();
    let open = |name: &str| {
        let (file, _) = tree.lookup(tree.root(), name.as_bytes()).unwrap().unwrap();
        tree.open(file).map(|file| file.size()).map_err(|error| error.to_string())
    };
    assert_eq!(open("plain"), Ok(5000));
    assert_eq!(open("secret"), Err("it is encrypted (fscrypt)".to_owned()));
}

#[test]
fn what_windows_keeps_elsewhere_is_not_read_as_empty() {
    let bench = Bench::new(16 * MIB);
    let image = bench.image();
    ntfs::format(&image, "");
    // WOF and Windows' store of deduplicated data; one that says nothing about content.
    let tags = [
        (0x8000_0017_u32, Some("compact /exe")),
        (0x8000_0013, Some("deduplicated")),
        (0x8000_0099, None),
    ];
    {
        let mount = ntfs::Mount::new(&image, "rw");
        for (tag, _) in tags {
            let file = mount.path().join(format!("{tag:x}"));
            fs::write(&file, "x".repeat(3000)).unwrap();
            let set = "import os, sys; tag = int(sys.argv[2], 16).to_bytes(4, 'little'); \
                       os.setxattr(sys.argv[1], 'system.ntfs_reparse_data', tag + bytes([8, 0, 0, 0] + [0] * 8))";
            tool("python3", &["-c", set, file.to_str().unwrap(), &format!("{tag:x}")]);
        }
    }
    let volume = Volume::open(&image);
    let tree = files(&volume, Scrutiny::Strict).unwrap();
    for (tag, words) in tags {
        let name = format!("{tag:x}");
        let (file, _) = tree.lookup(tree.root(), name.as_bytes()).unwrap().unwrap();
        match (tree.open(file), words) {
            (Ok(open), None) => assert_eq!(open.size(), 3000, "{name}"),
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{name}: {:?}", found.err()),
        }
    }
}

/// Asks all that can be asked of the first files of a tree, whatever it says.
fn ask_all(volume: &dyn ReadAt, scrutiny: Scrutiny) {
    let Ok(tree) = files(volume, scrutiny) else { return };
    let mut folders = vec![tree.root()];
    for _ in 0..30 {
        let Some(folder) = folders.pop() else { break };
        let mut found = Vec::new();
        let _ = tree.list(folder, &mut |entry| {
            if found.len() < 30 {
                found.push(entry.file);
                folders.extend((entry.kind == EntryKind::Folder).then_some(entry.file));
            }
        });
        for file in found {
            let _ = (tree.stat(file), tree.link_target(file));
            let _ = tree.extents(file, &mut |_| {});
            if let Ok(content) = tree.open(file) {
                let len = usize::try_from(content.size().min(300_000)).unwrap();
                let _ = content.read_vec(0, len);
                let _ = content.read_vec(content.size().saturating_sub(1), 1);
            }
        }
    }
}

/// Changes bytes of an image where it has anything but zeros, time and again, and asks.
fn ask_of_damaged(image: &Path, seed: u64) {
    let mut bytes = fs::read(image).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut random = Random::new(seed);
    for _ in 0..Random::count(3000) {
        let mut changed = Vec::new();
        for _ in 0..=random.below(4) {
            let at = usize::try_from(random.below(places.len() as u64)).unwrap();
            changed.push((places[at], bytes[places[at]]));
            bytes[places[at]] = random.bytes(1)[0];
        }
        ask_all(&bytes, Scrutiny::Strict);
        ask_all(&bytes, Scrutiny::Lenient);
        changed.into_iter().rev().for_each(|(at, byte)| bytes[at] = byte);
    }
}

#[test]
fn damage_of_any_kind_ends_in_words_and_not_in_a_panic() {
    let bench = Bench::new(16 * MIB);
    let content = bench.content();
    let text: Vec<String> = (0..20).map(|line| format!("line {line}\n")).collect();
    fs::create_dir_all(content.join("a/b")).unwrap();
    for at in 0..12 {
        fs::write(content.join(format!("a/file {at}")), text.concat()).unwrap();
    }
    let image = bench.image();
    let fresh = || File::create(&image).unwrap().set_len(16 * MIB).unwrap();
    fresh();
    bench.make(
        "mke2fs -q -F -t ext4 -O ^metadata_csum,^has_journal,inline_data -I 256 -d",
        &[&content],
    );
    ask_of_damaged(&image, 21);
    fresh();
    bench.make("mke2fs -q -F -t ext2 -b 1024 -d", &[&content]);
    ask_of_damaged(&image, 22);
    fresh();
    bench.make("mkfs.fat -F 16", &[]);
    let script = format!("mcopy -s -Q -i '{}' '{}'/a ::", image.display(), content.display());
    tool("sh", &["-c", &script]);
    ask_of_damaged(&image, 23);
    fresh();
    ntfs::format(&image, "");
    {
        let mount = ntfs::Mount::new(&image, "compression");
        compress(mount.path());
        fs::write(mount.path().join("text"), text.concat().repeat(500)).unwrap();
        tool("cp", &["-r".into(), content.join("a"), mount.path().join("a")]);
    }
    ask_of_damaged(&image, 24);
}
