//! Folders as our readers list them, held against what filled them: the filesystems' own tools, and
//! kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use common::{output_of, tool};
use lifeboat::inspect::files;
use lifeboat::volume::{EntryKind, Scrutiny};
use tempfile::TempDir;

use crate::ntfs;
use crate::tools::{self, Mount, Volume};

const MIB: u64 = 1 << 20;

type Listed = BTreeMap<PathBuf, EntryKind>;

/// All that is in an image by our reader; `None` when it leaves the image to the kernel.
pub fn listed(image: &Path) -> Option<Listed> {
    let volume = Volume::open(image);
    let tree = files(&volume, Scrutiny::Strict).ok()?;
    let mut all = Listed::new();
    let mut folders = vec![(PathBuf::new(), tree.root())];
    while let Some((path, folder)) = folders.pop() {
        tree.list(folder, &mut |entry| {
            let path = path.join(OsStr::from_bytes(entry.name));
            if entry.kind == EntryKind::Folder {
                folders.push((path.clone(), entry.file));
            }
            assert_eq!(all.insert(path.clone(), entry.kind), None, "{}", path.display());
        })
        .ok()?;
    }
    Some(all)
}

/// All that is in a folder by this machine's kernel.
pub fn walked(root: &Path) -> Listed {
    let mut all = Listed::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let kind = match (kind.is_dir(), kind.is_file(), kind.is_symlink()) {
                (true, ..) => EntryKind::Folder,
                (_, true, _) => EntryKind::File,
                (.., true) => EntryKind::Link,
                _ => EntryKind::Other,
            };
            if kind == EntryKind::Folder {
                folders.push(entry.path());
            }
            all.insert(entry.path().strip_prefix(root).unwrap().to_owned(), kind);
        }
    }
    all
}

/// Fails with what differs.
fn assert_same(found: &Listed, expected: &Listed, what: &str) {
    let one: BTreeSet<_> = found.iter().collect();
    let other: BTreeSet<_> = expected.iter().collect();
    let differ: Vec<_> = one.symmetric_difference(&other).take(5).collect();
    assert!(found.len() > 5 && differ.is_empty(), "{what}: {differ:?}");
}

fn without(mut all: Listed, name: &str) -> Listed {
    all.retain(|path, _| !path.starts_with(name));
    all
}

/// What folders can hold: nothing, a few names, more than fit in several blocks; short, long and
/// foreign ones.
fn fill(root: &Path, many: usize) {
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("one/two/three/four")).unwrap();
    fs::create_dir_all(root.join("many")).unwrap();
    fs::create_dir_all(root.join("Größe, 大きさ")).unwrap();
    fs::write(root.join("Größe, 大きさ/größer als alles"), "x").unwrap();
    fs::write(root.join("one/README.TXT"), "x").unwrap();
    fs::write(root.join("one/two/nothing in it"), "").unwrap();
    fs::write(root.join("one").join("n".repeat(250)), "x").unwrap();
    for at in 0..many {
        let name = format!("a name that fills blocks, number {at}");
        fs::write(root.join("many").join(name), "x").unwrap();
    }
}

fn fill_with_links(root: &Path, many: usize) {
    fill(root, many);
    fs::write(root.join("one/😀"), "x").unwrap();
    symlink("one/two", root.join("link")).unwrap();
    symlink("x".repeat(200), root.join("one/link that leads nowhere")).unwrap();
    tool("mkfifo", &[root.join("one/pipe")]);
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

    /// Runs a tool with the names of the content and of the image at the end.
    fn make(&self, words: &str) {
        let mut words: Vec<&str> = words.split_whitespace().collect();
        let program = words.remove(0);
        let (content, image) = (self.content(), self.image());
        words.extend([content.to_str().unwrap(), image.to_str().unwrap()]);
        tool(program, &words);
    }

    fn debugfs(&self, request: &str) {
        tool("debugfs", &["-w", "-R", request, self.image().to_str().unwrap()]);
    }
}

#[test]
fn folders_of_ext_are_what_they_were_made_from() {
    for (options, many) in [
        ("-t ext4", 300),
        ("-t ext2 -b 1024 -O ^filetype", 900),
        ("-t ext3 -b 1024", 900),
        ("-t ext4 -b 4096 -O inline_data -I 512", 5),
        ("-t ext4 -O ^metadata_csum,^64bit,^has_journal", 3000),
        ("-t ext4 -b 65536", 700),
    ] {
        let bench = Bench::new(64 * MIB);
        fill_with_links(&bench.content(), many);
        bench.make(&format!("mke2fs -q -F {options} -d"));
        let expected = walked(&bench.content());
        let found = without(listed(&bench.image()).unwrap(), "lost+found");
        assert_same(&found, &expected, options);
        // Hash trees, and entries that were taken out.
        let image = bench.image();
        output_of("e2fsck", &["-fyD", image.to_str().unwrap()]);
        bench.debugfs("rm \"many/a name that fills blocks, number 3\"");
        bench.debugfs("rmdir empty");
        let gone = without(without(expected, "empty"), "many/a name that fills blocks, number 3");
        let found = without(listed(&image).unwrap(), "lost+found");
        assert_same(&found, &gone, &format!("{options}, sorted"));
    }
}

#[test]
fn folders_of_ext4_are_what_the_kernel_shows() {
    for (options, many) in [("", 3000), ("-O inline_data -I 512", 4)] {
        let bench = Bench::new(64 * MIB);
        let image = bench.image();
        let words = format!("-q -F -t ext4 {options} {}", image.display());
        tool("mke2fs", &words.split_whitespace().collect::<Vec<_>>());
        let mount = Mount::new(&image, "ext4", "rw");
        fill_with_links(mount.path(), many);
        for at in (0..many).step_by(3) {
            let name = format!("many/a name that fills blocks, number {at}");
            fs::remove_file(mount.path().join(name)).unwrap();
        }
        let expected = walked(mount.path());
        drop(mount);
        let request = ["-R", "ea_list many", image.to_str().unwrap()];
        let is_inline = output_of("debugfs", &request).contains("system.data");
        assert_eq!(is_inline, !options.is_empty(), "{options}");
        assert_same(&listed(&image).unwrap(), &expected, options);
    }
}

#[test]
fn a_doubtful_ext_is_left_to_the_kernel() {
    for (request, why) in [
        ("feature needs_recovery", "a log"),
        ("feature casefold", "other rules for names"),
        ("ssv state 2", "errors"),
        ("sif one flags 0x80800", "ciphertext"),
        ("sif one mode 0100644", "a folder that is none"),
        ("clri many", "a folder without an inode"),
    ] {
        let bench = Bench::new(16 * MIB);
        fill(&bench.content(), 100);
        bench.make("mke2fs -q -F -t ext4 -O ^metadata_csum -d");
        assert!(listed(&bench.image()).is_some());
        bench.debugfs(request);
        assert!(listed(&bench.image()).is_none(), "{why}");
    }
}

#[test]
fn folders_of_btrfs_are_what_the_kernel_shows() {
    let bench = Bench::new(256 * MIB);
    tool("mkfs.btrfs", &["-q", "-f", bench.image().to_str().unwrap()]);
    let subvolume = |words: &[&str]| tool("btrfs", &[&["-q", "subvolume"], words].concat());
    for make_default in [false, true] {
        let mount = Mount::new(&bench.image(), "btrfs", "subvolid=5");
        let path = |name: &str| mount.path().join(name).to_str().unwrap().to_owned();
        if make_default {
            let id = tool("btrfs", &["inspect-internal", "rootid", &path("@")]);
            subvolume(&["set-default", id.trim(), &path("")]);
        } else {
            subvolume(&["create", &path("@")]);
            fill_with_links(&mount.path().join("@"), 2000);
            subvolume(&["create", &path("@/one/inner")]);
            fs::write(path("@/one/inner/file"), "x").unwrap();
            // The snapshot has an empty folder where the inner subvolume is.
            subvolume(&["snapshot", &path("@"), &path("@/snapshot")]);
            fs::remove_dir(path("@/empty")).unwrap();
            tool("cp", &["--reflink=never", &path("@/one/README.TXT"), &path("top")]);
        }
        drop(mount);
        let mount = Mount::new(&bench.image(), "btrfs", "ro");
        let expected = walked(mount.path());
        drop(mount);
        assert_eq!(expected.contains_key(Path::new("@")), !make_default);
        assert_same(&listed(&bench.image()).unwrap(), &expected, "btrfs");
    }
}

#[test]
fn folders_of_f2fs_are_what_they_were_made_from() {
    for features in ["", "-O extra_attr,inode_checksum,sb_checksum"] {
        let bench = Bench::new(128 * MIB);
        fill(&bench.content(), 1500);
        symlink("one/two", bench.content().join("link")).unwrap();
        let image = bench.image();
        let words = format!("-q -f {features} {}", image.display());
        tool("mkfs.f2fs", &words.split_whitespace().collect::<Vec<_>>());
        bench.make("sload.f2fs -f");
        assert_same(&listed(&image).unwrap(), &walked(&bench.content()), features);
    }
}

#[test]
fn folders_of_xfs_are_what_the_kernel_shows() {
    for options in ["", "-m crc=1 -n size=16k -i sparse=1"] {
        let bench = Bench::new(320 * MIB);
        let image = bench.image();
        let words = format!("-q -f {options} {}", image.display());
        tool("mkfs.xfs", &words.split_whitespace().collect::<Vec<_>>());
        let mount = Mount::new(&image, "xfs", "rw");
        fill_with_links(mount.path(), 3000);
        for at in (0..3000).step_by(3) {
            let name = format!("many/a name that fills blocks, number {at}");
            fs::remove_file(mount.path().join(name)).unwrap();
        }
        let expected = walked(mount.path());
        drop(mount);
        assert_same(&listed(&image).unwrap(), &expected, options);
    }
}

#[test]
fn folders_of_ntfs_are_what_ntfs_3g_shows() {
    for options in ["", "-c 512", "-c 65536"] {
        let bench = Bench::new(48 * MIB);
        let image = bench.image();
        ntfs::format(&image, options);
        let mount = ntfs::Mount::new(&image, "rw");
        fill(mount.path(), 1500);
        symlink("one/two", mount.path().join("link")).unwrap();
        for at in (0..1500).step_by(3) {
            let name = format!("many/a name that fills blocks, number {at}");
            fs::remove_file(mount.path().join(name)).unwrap();
        }
        let mut expected = walked(mount.path());
        drop(mount);
        // ntfs-3g keeps a link in a file of its own kind.
        expected.insert("link".into(), listed(&image).unwrap()[Path::new("link")]);
        assert_same(&listed(&image).unwrap(), &expected, options);
        // A torn block of the index.
        let name: Vec<u8> = "number 1499".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bytes = fs::read(&image).unwrap();
        let is_index = |at: &usize| {
            bytes[*at..].starts_with(b"INDX")
                && bytes[*at..*at + 4096].windows(name.len()).any(|piece| piece == name)
        };
        let block = (0..bytes.len()).step_by(4096).find(is_index).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(&[0x55, 0x66], block as u64 + 1022).unwrap();
        assert!(listed(&image).is_none(), "{options}");
    }
}

/// Linux shows folders as links only where their reparse points stand for another name
/// (`ni_parse_reparse` in fs/ntfs3/frecord.c).
#[test]
fn a_folder_of_ntfs_with_a_reparse_point_is_a_link_or_a_folder_by_its_tag() {
    let bench = Bench::new(16 * MIB);
    let image = bench.image();
    ntfs::format(&image, "");
    let mount = ntfs::Mount::new(&image, "rw");
    // Of containers, and of OneDrive; ntfs-3g asks for more of those of links and mount points.
    let (container_link, cloud) = (0xa000_0027_u32, 0x9000_001a_u32);
    let kinds = [(container_link, EntryKind::Link), (cloud, EntryKind::Folder)];
    for (tag, _) in kinds {
        let folder = mount.path().join(format!("{tag:x}"));
        fs::create_dir(&folder).unwrap();
        let set = "import os, sys; tag = int(sys.argv[2], 16).to_bytes(4, 'little'); \
                   os.setxattr(sys.argv[1], 'system.ntfs_reparse_data', tag + bytes([8, 0, 0, 0] + [0] * 8))";
        tool("python3", &["-c", set, folder.to_str().unwrap(), &format!("{tag:x}")]);
    }
    drop(mount);
    let found = listed(&image).unwrap();
    for (tag, kind) in kinds {
        assert_eq!(found[Path::new(&format!("{tag:x}"))], kind, "{tag:x}");
    }
}

#[test]
fn folders_of_fat_are_what_was_copied_to_them() {
    for (options, mib) in [("-F 12 -s 8", 12), ("-F 16", 32), ("-F 32 -s 1", 48)] {
        let bench = Bench::new(mib * MIB);
        let image = bench.image();
        let words = format!("{options} -n LABEL {}", image.display());
        tool("mkfs.fat", &words.split_whitespace().collect::<Vec<_>>());
        fill(&bench.content(), 700);
        // mtools converts names by the locale.
        let script = format!(
            "export LC_ALL=C.UTF-8; cd '{}' && mcopy -s -Q -i '{1}' * :: && \
             mdel -i '{1}' '::/many/a name that fills blocks, number 5' && \
             mmd -i '{1}' ::/gone && mrd -i '{1}' ::/gone",
            bench.content().display(),
            image.display()
        );
        tool("sh", &["-c", &script]);
        let gone = "many/a name that fills blocks, number 5";
        assert_same(&listed(&image).unwrap(), &without(walked(&bench.content()), gone), options);
        // A lost sector looks like the end of its folder; Linux goes on behind it.
        let bytes = fs::read(&image).unwrap();
        let is_full = |sector: &&[u8]| {
            sector.chunks_exact(32).all(|entry| entry[0] != 0 && matches!(entry[11], 0x0f | 0x20))
        };
        // With more of the same folder behind it.
        let sectors = bytes.chunks_exact(512).collect::<Vec<_>>();
        let lost = sectors.windows(8).position(|next| next.iter().all(is_full)).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all_at(&[0; 512], lost as u64 * 512).unwrap();
        assert!(listed(&image).is_none(), "{options}");
    }
}
