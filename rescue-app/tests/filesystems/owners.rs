//! Which files lie in given bytes, judged block by block by the filesystems' own tools.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::{output_of, tool};
use lifeboat::bytes::Extents;
use lifeboat::disk::Source;
use lifeboat::inspect::owners;
use lifeboat::volume::Owners;
use tempfile::TempDir;

const KIB: u64 = 1 << 10;

/// The start of one file.
const MARK: &[u8] = b"what no other file begins with";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn owners_of(image: &Path, start: u64, len: u64) -> Owners {
    owners(&Source::open(image).unwrap(), &Extents::of(start, start + len))
}

fn only_path(found: &Owners) -> Option<&str> {
    assert!(found.files.len() <= 1, "{found:?}");
    found.files.first().map(|owner| owner.path.as_str())
}

/// Files of all sorts: small, in folders, with a long name, and in a hundred pieces.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("etc/deeper/still")).unwrap();
    fs::create_dir(folder.join("many")).unwrap();
    for at in 0..150u8 {
        let name = format!("a rather long name for a file, number {at}");
        fs::write(folder.join("many").join(name), vec![at; 3000]).unwrap();
    }
    let content = [MARK, &[7; 700_000]].concat();
    fs::write(folder.join("etc/deeper/still/file"), content).unwrap();
    std::os::unix::fs::symlink("/etc/deeper/still/file", folder.join("link")).unwrap();
    let pieces = File::create(folder.join("etc/pieces")).unwrap();
    for at in 0..100 {
        pieces.write_all_at(&[9; 4096], at * 64 * KIB).unwrap();
    }
}

struct Image {
    folder: TempDir,
}

impl Image {
    fn new(mebibytes: u64) -> Self {
        let image = Self { folder: TempDir::new().unwrap() };
        File::create(image.path()).unwrap().set_len(mebibytes << 20).unwrap();
        fs::create_dir(image.content()).unwrap();
        image
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn content(&self) -> PathBuf {
        self.folder.path().join("content")
    }
}

/// Pairs of numbers that debugfs prints in two columns.
fn table(said: &str) -> HashMap<u64, String> {
    let rows = said.lines().filter_map(|line| line.split_once('\t'));
    rows.filter_map(|(a, b)| Some((a.trim().parse().ok()?, b.trim().to_owned()))).collect()
}

fn ext_agrees_with_debugfs(options: &[&str], block: u64) {
    let image = Image::new(24);
    fill(&image.content());
    let (path, content) = (image.path(), image.content());
    let size = block.to_string();
    let mut args = vec!["-q", "-F", "-b", &size, "-d", text(&content)];
    args.extend(options);
    args.push(text(&path));
    tool("mke2fs", &args);
    let count = (24 << 20) / block;
    let blocks: Vec<u64> = (1..count).step_by(if block == 1024 { 11 } else { 3 }).collect();
    let list = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    };
    let request = format!("icheck {}", list(&mut blocks.iter().copied()));
    let inodes = table(&output_of("debugfs", &["-R", &request, text(&path)]));
    let numbers: BTreeSet<u64> = inodes.values().filter_map(|inode| inode.parse().ok()).collect();
    let request = format!("ncheck {}", list(&mut numbers.iter().copied()));
    let names = table(&output_of("debugfs", &["-R", &request, text(&path)]));
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for block_number in blocks {
        let found = owners_of(&path, block_number * block, block);
        assert_eq!(found.note, None);
        let expected = match inodes.get(&block_number).and_then(|inode| inode.parse().ok()) {
            Some(2) => Some("/".to_owned()),
            Some(inode @ 11..) => Some(names[&inode].replace("//", "/")),
            Some(_) => {
                assert_eq!(found.metadata, block, "block {block_number}");
                None
            }
            None => None,
        };
        assert_eq!(only_path(&found), expected.as_deref(), "block {block_number}");
        if let Some(owner) = found.files.first() {
            assert_eq!(owner.bytes, block);
            *seen.entry(owner.path.clone()).or_default() += 1;
        }
    }
    assert!(seen.len() > 10 && seen["/etc/pieces"] > 3, "{seen:?}");
    // The superblock is nobody's file.
    assert_eq!(owners_of(&path, 1024, 1024).metadata, 1024);
}

#[test]
fn ext4_agrees_with_debugfs() {
    ext_agrees_with_debugfs(&["-t", "ext4"], 4096);
}

#[test]
fn ext2_with_small_blocks_agrees_with_debugfs() {
    ext_agrees_with_debugfs(&["-t", "ext2", "-O", "^filetype"], 1024);
}

#[test]
fn ntfs_agrees_with_ntfscluster() {
    let image = Image::new(40);
    let path = image.path();
    tool("mkntfs", &["-q", "-F", "-f", text(&path)]);
    {
        let mount = crate::ntfs::Mount::new(&path, "compression");
        fill(mount.path());
    }
    let clusters = (40 << 20) / 4096;
    let mut files = BTreeSet::new();
    for cluster in (0..clusters).step_by(97).chain(0..8) {
        let found = owners_of(&path, cluster * 4096, 4096);
        assert_eq!(found.note, None);
        let range = format!("{cluster}-{cluster}");
        let said = output_of("ntfscluster", &["-f", "-c", &range, text(&path)]);
        // "Inode 70 /etc/deeper/still/file/$DATA"
        let inodes = said.lines().filter_map(|line| line.strip_prefix("Inode ")?.split_once(' '));
        let mut expected = None;
        for (inode, stream) in inodes {
            let (file, _) = stream.rsplit_once("/$").unwrap();
            match inode.parse::<u64>().unwrap() {
                5 => expected = Some("/".to_owned()),
                0..16 => assert!(found.metadata > 0, "cluster {cluster}: {said}"),
                _ => expected = Some(file.to_owned()),
            }
        }
        assert_eq!(only_path(&found), expected.as_deref(), "cluster {cluster}: {said}");
        files.extend(expected);
    }
    assert!(files.contains("/etc/deeper/still/file"), "{files:?}");
}

fn fat_agrees_with_mshowfat(bits: &str, mebibytes: u64) {
    let image = Image::new(mebibytes);
    fill(&image.content());
    fs::remove_file(image.content().join("link")).unwrap();
    let path = image.path();
    tool("mkfs.fat", &["-F", bits, "-s", "8", text(&path)]);
    tool("sh", &["-c", &format!("mcopy -s -i {0} {1}/* ::", text(&path), text(&image.content()))]);
    // Where the data area starts shows in where the content of a known cluster is.
    let clusters = |file: &str| -> Vec<(u64, u64)> {
        let said = output_of("mshowfat", &["-i", text(&path), &format!("::{file}")]);
        // "::/etc/pieces <5-10> <12>"
        let ranges = said.split('<').skip(1).map(|range| range.split('>').next().unwrap());
        let ends = ranges.map(|range| range.split_once('-').unwrap_or((range, range)));
        ends.map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap())).collect()
    };
    let bytes = fs::read(&path).unwrap();
    let place = bytes.windows(MARK.len()).position(|window| window == MARK).unwrap();
    let data = place as u64 - (clusters("/etc/deeper/still/file")[0].0 - 2) * 4096;
    for file in ["/etc/deeper/still/file", "/etc/pieces", "/many", "/etc/deeper"] {
        // "::/etc/pieces <5-10> <12-14>"
        for (first, last) in clusters(file) {
            let start = data + (first - 2) * 4096;
            let len = (last - first + 1) * 4096;
            let found = owners_of(&path, start, len);
            assert_eq!(only_path(&found), Some(file), "{file}: {first}-{last}");
            assert_eq!((found.files[0].bytes, found.metadata), (len, 0));
            assert_eq!(owners_of(&path, start + len - 1, 1).files[0].path, file);
        }
    }
    assert_eq!(owners_of(&path, 0, 512).metadata, 512);
    let free = (mebibytes << 20) - (1 << 20);
    assert_eq!(owners_of(&path, free, 4096), Owners::default());
}

#[test]
fn fat16_agrees_with_mshowfat() {
    fat_agrees_with_mshowfat("16", 40);
}

#[test]
fn fat32_agrees_with_mshowfat() {
    fat_agrees_with_mshowfat("32", 300);
}

#[test]
fn fat12_agrees_with_mshowfat() {
    fat_agrees_with_mshowfat("12", 14);
}

/// Whose each of these blocks of a group is, by `xfs_db`: its type, and the path of a file.
fn blocks_by_xfs_db(image: &Path, blocks: &[u64]) -> Vec<(String, Option<String>)> {
    let mut script = "blockget -n\n".to_owned();
    for block in blocks {
        script += &format!("fsblock {block}\nblockuse -n\n");
    }
    let commands = image.with_extension("commands");
    fs::write(&commands, script).unwrap();
    let said = output_of("sh", &["-c", "xfs_db -r \"$0\" <\"$1\"", text(image), text(&commands)]);
    // "block 300 (0/300) type data inode 129 etc/file 62"
    let lines = said.lines().filter_map(|line| line.split_once(" type "));
    let found = lines.map(|(_, rest)| {
        let (kind, inode) = rest.split_once(" inode ").unwrap_or((rest, ""));
        let path = inode.split_once(' ').map(|(_, path)| format!("/{path}"));
        // The root has no name.
        let path = path.or_else(|| (!inode.is_empty()).then(|| "/".to_owned()));
        (kind.trim().to_owned(), path)
    });
    found.collect()
}

fn xfs_agrees_with_xfs_db(options: &str) {
    let image = Image::new(48);
    let path = image.path();
    let mut words: Vec<&str> = options.split_whitespace().collect();
    words.extend(["--unsupported", "-q", "-f", text(&path)]);
    tool("mkfs.xfs", &words);
    {
        let mount = crate::tools::Mount::new(&path, "xfs", "rw");
        fill(mount.path());
        fs::hard_link(mount.path().join("etc/pieces"), mount.path().join("again")).unwrap();
        std::os::unix::fs::symlink("x/".repeat(500), mount.path().join("far")).unwrap();
    }
    let said = output_of(
        "xfs_db",
        &["-r", "-c", "sb 0", "-c", "print blocksize agblocks agblklog", text(&path)],
    );
    let number = |line: &str| line.split_once(" = ").unwrap().1.parse::<u64>().unwrap();
    let [size, per_group, log] =
        said.lines().map(number).collect::<Vec<_>>()[..].try_into().unwrap();
    let numbers: Vec<u64> = (0..(48 << 20) / size).collect();
    let fsblock = |number: &u64| (number / per_group) << log | (number % per_group);
    let theirs = blocks_by_xfs_db(&path, &numbers.iter().map(fsblock).collect::<Vec<_>>());
    assert_eq!(theirs.len(), numbers.len());
    // Every fifth block of files, some of the log and of what is free.
    let chosen = numbers
        .iter()
        .zip(theirs)
        .filter(|(number, (_, file))| number.is_multiple_of(if file.is_some() { 5 } else { 401 }));
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for (number, (kind, expected)) in chosen {
        let found = owners_of(&path, number * size, size);
        assert_eq!(found.note, None);
        let ours = only_path(&found).map(|path| path.replace("/again", "/etc/pieces"));
        let expected = expected.map(|path| path.replace("/again", "/etc/pieces"));
        assert_eq!(ours, expected, "block {number}: {kind}");
        match &ours {
            Some(path) => *seen.entry(path.clone()).or_default() += found.files[0].bytes,
            None => {
                let own = if ["free1", "free2"].contains(&kind.as_str()) { 0 } else { size };
                assert_eq!(found.metadata, own, "block {number}: {kind}");
            }
        }
    }
    assert!(seen.len() > 10 && seen["/etc/pieces"] > 3 * size, "{seen:?}");
    let hole = owners_of(&path, 0, 512);
    assert_eq!((hole.metadata, hole.files.len()), (512, 0));
}

#[test]
fn xfs_agrees_with_xfs_db_blockuse() {
    xfs_agrees_with_xfs_db("");
}

#[test]
fn xfs_with_small_blocks_agrees_with_xfs_db_blockuse() {
    xfs_agrees_with_xfs_db("-b size=1024 -n size=4096 -d agcount=3 -m rmapbt=1");
}
