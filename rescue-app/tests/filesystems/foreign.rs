//! Images that others made: recognition against what libblkid's own tests expect, and readers
//! against the damaged filesystems that checkers are tested with. What a map leaves out of them is
//! overwritten, and the checker has to say of the damage what it said before, word for word.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{command, stdout_of, tool};
use lifeboat::bytes::{Extents, ReadAt};
use lifeboat::inspect;
use lifeboat::volume::{Coverage, Kind};
use tempfile::TempDir;

use crate::foreign_counts::{self, Count};
use crate::foreign_images;
use crate::hostile::check;
use crate::tools::{self, Volume};

/// Bytes of an image that are scribbled over at most.
const MOST: u64 = 256 << 20;

/// Larger images take longer than they are worth in every run; `FOREIGN=all` reads them too.
fn largest() -> u64 {
    let all = std::env::var_os("FOREIGN").is_some_and(|word| word == "all");
    if all { 4 << 30 } else { 17 << 20 }
}

/// Bytes that an xz file holds, as its index tells.
fn xz_holds(packed: &Path) -> u64 {
    let list = tool("xz", &["--robot", "--list", packed.to_str().unwrap()]);
    let totals = list.lines().find(|line| line.starts_with("totals")).unwrap();
    totals.split('\t').nth(4).unwrap().parse().unwrap()
}

/// The image in a compressed file, as `scratch`/image; `None` if it is too large.
fn unpacked(packed: &Path, scratch: &Path) -> Option<PathBuf> {
    let program = match packed.extension().unwrap().to_str().unwrap() {
        "xz" if xz_holds(packed) > largest() => return None,
        "xz" => "xz",
        "gz" => "gzip",
        other => panic!("{other} is not known"),
    };
    let image = scratch.join("image");
    let out = File::create(&image).unwrap();
    stdout_of(command(program).arg("-dc").arg(packed).stdout(out));
    // Filesystems on disks end with a sector.
    let len = fs::metadata(&image).unwrap().len();
    let file = File::options().write(true).open(&image).unwrap();
    file.set_len(len.next_multiple_of(512)).unwrap();
    (len <= largest()).then_some(image)
}

/// What a filesystem's own checker says of it, and how it ends; it changes nothing.
fn said(kind: Kind, image: &Path) -> String {
    let words: &[&str] = match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => &["e2fsck", "-f", "-n"],
        Kind::Fat12 | Kind::Fat16 | Kind::Fat32 => &["fsck.fat", "-n", "-v"],
        Kind::ExFat => &["fsck.exfat", "-n"],
        Kind::Btrfs => &["btrfs", "check", "--readonly"],
        Kind::Xfs => &["xfs_repair", "-n"],
        Kind::Ntfs => &["ntfsresize", "--info", "--force", "--no-progress-bar"],
        Kind::F2fs => &["fsck.f2fs", "--dry-run"],
        _ => return String::new(),
    };
    let output = command(words[0]).args(&words[1..]).arg(image).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    // Some of these images crash a checker: the addresses that it names then are others every time.
    let text = text.split("Signal (").next().unwrap();
    format!("{text}\n{}", output.status)
}

/// What became of the images of a package.
#[derive(Default)]
struct Tally {
    mapped: usize,
    whole: usize,
    /// Maps that are what a tool counts.
    equal: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Reads an image; scribbles over what the map leaves out.
    fn examine(&mut self, image: &Path, name: &str) {
        let volume = Volume::open(image);
        let found = inspect::inspect(&volume);
        check(&found, volume.size(), name);
        if found.coverage != Coverage::Used {
            println!("{name}: {:?}", found.warnings);
            self.whole += 1;
            return;
        }
        self.mapped += 1;
        let kind = found.filesystem.as_ref().unwrap().kind;
        match foreign_counts::compare(image, &found, volume.size()) {
            Count::Equal => self.equal += 1,
            Count::Differs(reason) => println!("{name}: {reason}"),
            Count::None => println!("{name}: {kind:?} is not counted"),
            Count::Wrong(what) => self.wrong.push(format!("{name}: {kind:?}: {what}")),
        }
        let before = said(kind, image);
        // Of the largest ones only the start: the rest takes longer than it is worth.
        let far = Extents::of(MOST.min(volume.size()), volume.size());
        tools::scribble(image, &found.used.union(&far), 0x5a);
        let after = said(kind, image);
        if before != after {
            self.wrong.push(format!("{name}\n--- before\n{before}\n--- after\n{after}"));
        }
    }

    /// All is well, and at least so many images had a map.
    fn ends(self, mapped: usize) {
        let Self { equal, whole, wrong, .. } = &self;
        println!("{} mapped, {equal} as counted, {whole} whole", self.mapped);
        println!("{} wrong", wrong.len());
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n\n"));
        assert!(self.mapped >= mapped, "only {} images had a map", self.mapped);
        assert!(self.equal > 0, "no map was as counted");
    }
}

fn name_of(packed: &Path) -> String {
    let parts: Vec<_> = packed.components().rev().take(2).collect();
    parts.iter().rev().map(|part| part.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/")
}

fn compressed(package: &str, ends: &[&str], mapped: usize) {
    let folder = foreign_images::folder(package);
    let scratch = TempDir::new().unwrap();
    let mut tally = Tally::default();
    for packed in ends.iter().flat_map(|end| foreign_images::files(&folder, end)) {
        if let Some(image) = unpacked(&packed, scratch.path()) {
            tally.examine(&image, &name_of(&packed));
        }
    }
    tally.ends(mapped);
}

#[test]
fn damaged_ext_is_mapped_safely_or_not_at_all() {
    compressed("e2fsprogs", &["/image.gz"], 20);
}

#[test]
fn damaged_btrfs_is_mapped_safely_or_not_at_all() {
    compressed("btrfs-progs", &[".raw.xz"], 1);
}

#[test]
fn damaged_exfat_is_mapped_safely_or_not_at_all() {
    let scratch = TempDir::new().unwrap();
    let mut tally = Tally::default();
    for packed in foreign_images::files(&foreign_images::folder("exfatprogs"), "exfat.img.tar.xz") {
        let paths = [packed.to_str().unwrap(), scratch.path().to_str().unwrap()];
        tool("tar", &["-xSf", paths[0], "-C", paths[1]]);
        let image = scratch.path().join("exfat.img");
        tally.examine(&image, &name_of(&packed));
    }
    tally.ends(1);
}

/// Bytes of a listing by `xxd`: their place, pairs of them, and the same as text.
fn from_listing(listing: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A line of zeros that follows another one is left out.
    for line in listing.lines().filter(|line| *line != "*") {
        let (place, rest) = line.split_once(": ").unwrap();
        let pairs = rest.split("  ").next().unwrap().replace(' ', "");
        bytes.resize(usize::from_str_radix(place, 16).unwrap(), 0);
        bytes.extend(hex::decode(pairs).unwrap());
    }
    bytes
}

#[test]
fn damaged_fat_is_mapped_safely_or_not_at_all() {
    let scratch = TempDir::new().unwrap();
    let image = scratch.path().join("image");
    let mut tally = Tally::default();
    for listing in foreign_images::files(&foreign_images::folder("dosfstools"), ".xxd") {
        let bytes = from_listing(&fs::read_to_string(&listing).unwrap());
        fs::write(&image, &bytes).unwrap();
        File::options().write(true).open(&image).unwrap().set_len(whole_size(&bytes)).unwrap();
        tally.examine(&image, &name_of(&listing));
    }
    tally.ends(1);
}

/// Listings end with the last byte that is not zero; a boot sector tells how many sectors there are
/// (Microsoft, "FAT: General Overview of On-Disk Format", BPB_TotSec16 and BPB_TotSec32).
fn whole_size(bytes: &[u8]) -> u64 {
    let half = |at: usize| u64::from(bytes[at]) | u64::from(bytes[at + 1]) << 8;
    let sectors = if half(19) == 0 { half(32) | half(34) << 16 } else { half(19) };
    let size = (sectors * half(11)).clamp(512, 1 << 30);
    size.max(bytes.len() as u64).next_multiple_of(512)
}

/// What `blkid -p -o udev` was expected to print.
fn expected_by_libblkid(name: &str) -> BTreeMap<String, String> {
    let folder = foreign_images::folder("util-linux").join("tests/expected/blkid");
    let text = fs::read_to_string(folder.join(format!("low-probe-{name}"))).unwrap();
    let facts = text.lines().filter_map(|line| line.split_once('='));
    facts.map(|(key, value)| (key.to_owned(), unescaped(value))).collect()
}

/// Without the `\x20` and the like of values whose keys end in `_ENC`.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if value.len() >= 4 && rest.len() >= 4 && rest.starts_with(b"\\x") {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[2..4]).unwrap(), 16).unwrap());
            rest = &rest[4..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The kinds that libblkid calls by this type; none for one that Lifeboat does not know.
fn kinds_of(kind: &str) -> &'static [Kind] {
    match kind {
        "ext2" => &[Kind::Ext2],
        "ext3" => &[Kind::Ext3],
        "ext4" => &[Kind::Ext4],
        "ntfs" => &[Kind::Ntfs],
        "vfat" => &[Kind::Fat12, Kind::Fat16, Kind::Fat32],
        "exfat" => &[Kind::ExFat],
        "xfs" => &[Kind::Xfs],
        "btrfs" => &[Kind::Btrfs],
        "f2fs" => &[Kind::F2fs],
        "swap" | "swsuspend" => &[Kind::Swap],
        "LVM2_member" => &[Kind::Lvm2],
        "crypto_LUKS" => &[Kind::Luks1, Kind::Luks2],
        "linux_raid_member" => &[Kind::MdRaid],
        "isw_raid_member" | "ddf_raid_member" => &[Kind::FirmwareRaid],
        "BitLocker" => &[Kind::BitLocker],
        "iso9660" => &[Kind::Iso9660],
        "squashfs" => &[Kind::Squashfs],
        "ReFS" => &[Kind::ReFs],
        "apfs" => &[Kind::Apfs],
        "hfsplus" => &[Kind::HfsPlus],
        "zfs_member" => &[Kind::Zfs],
        _ => &[],
    }
}

/// The kind that libblkid calls by this type, of those that are named and not read: without label and
/// identity.
fn named(kind: &str) -> Option<Kind> {
    match kind {
        "bcache" => Some(Kind::Bcache),
        "bcachefs" => Some(Kind::Bcachefs),
        "befs" => Some(Kind::BeFs),
        "bfs" => Some(Kind::Bfs),
        "ceph_bluestore" => Some(Kind::CephBluestore),
        "cramfs" => Some(Kind::Cramfs),
        "cs_fvault2" => Some(Kind::CoreStorage),
        "DM_integrity" => Some(Kind::DmIntegrity),
        "DM_snapshot_cow" => Some(Kind::DmSnapshot),
        "DM_verity_hash" => Some(Kind::DmVerity),
        "drbd" | "drbdmanage_control_volume" | "drbdproxy_datalog" => Some(Kind::Drbd),
        "erofs" => Some(Kind::Erofs),
        "exfs" => Some(Kind::Exfs),
        "gfs2" => Some(Kind::Gfs2),
        "hfs" => Some(Kind::Hfs),
        "hpfs" => Some(Kind::Hpfs),
        "jbd" => Some(Kind::ExtJournal),
        "jfs" => Some(Kind::Jfs),
        "LVM1_member" => Some(Kind::Lvm1),
        "minix" => Some(Kind::Minix),
        "mpool" => Some(Kind::Mpool),
        "nilfs2" => Some(Kind::Nilfs2),
        "nss" => Some(Kind::Nss),
        "ocfs" | "ocfs2" => Some(Kind::Ocfs2),
        "oracleasm" => Some(Kind::OracleAsm),
        "reiser4" => Some(Kind::Reiser4),
        "reiserfs" => Some(Kind::ReiserFs),
        "romfs" => Some(Kind::Romfs),
        "scoutfs_meta" => Some(Kind::Scoutfs),
        "squashfs3" => Some(Kind::Squashfs),
        "stratis" => Some(Kind::Stratis),
        "sysv" | "xenix" => Some(Kind::SysV),
        "ubi" => Some(Kind::Ubi),
        "ubifs" => Some(Kind::Ubifs),
        "udf" => Some(Kind::Udf),
        "ufs" => Some(Kind::Ufs),
        "vdo" => Some(Kind::Vdo),
        "VMFS" | "VMFS_volume_member" => Some(Kind::Vmfs),
        "vxfs" => Some(Kind::VxFs),
        "xfs_external_log" => Some(Kind::XfsLog),
        "zonefs" => Some(Kind::Zonefs),
        _ => None,
    }
}

/// Where Lifeboat tells less than libblkid, more or something else, and why.
const OTHERWISE: &[&str] = &[
    // Written before it had a magic of its own, and named by the one of bcache.
    "bcachefs",
    "bcachefs-2",
    // Metadata at the end of a file whose length is no multiple of a sector.
    "drbd-v08",
    "drbd-v09",
    // The name of an array, which libblkid does not look for.
    "isw-raid",
    // ISO 9660 on a disc that holds UDF too, which is only named.
    "udf",
    "udf-cd-nero-6",
    // Names of Joliet are not read, the primary descriptor's are.
    "iso-different-iso-joliet-label",
    "iso-unicode-long-label",
];

#[test]
fn images_are_recognised_as_libblkid_expects() {
    let scratch = TempDir::new().unwrap();
    let folder = foreign_images::folder("util-linux").join("tests/ts/blkid/images-fs");
    let (mut known, mut wrong, mut tally) = (0, Vec::new(), Tally::default());
    for packed in foreign_images::files(&folder, ".img.xz") {
        let name = packed.file_name().unwrap().to_str().unwrap().trim_end_matches(".img.xz");
        // Discs with several sessions are expected to be told where a session begins.
        if name.contains("-multi-") {
            continue;
        }
        let Some(image) = unpacked(&packed, scratch.path()) else { continue };
        let facts = expected_by_libblkid(name);
        let fact = |key: &str| facts.get(key).cloned().unwrap_or_default();
        let found = inspect::recognise(&Volume::open(&image)).unwrap();
        let kinds = kinds_of(&fact("ID_FS_TYPE"));
        let told = found.as_ref().map(|found| {
            let label = found.label.clone().unwrap_or_default();
            (found.kind, label, found.uuid.clone().unwrap_or_default())
        });
        let only_named = named(&fact("ID_FS_TYPE"));
        let agrees = match &told {
            Some((kind, _, _)) if only_named.is_some() => only_named == Some(*kind),
            Some((kind, label, uuid)) => {
                kinds.contains(kind)
                    && *label == fact("ID_FS_LABEL_ENC")
                    && *uuid == fact("ID_FS_UUID_ENC")
            }
            None => kinds.is_empty() && only_named.is_none(),
        };
        known += usize::from(!kinds.is_empty() || only_named.is_some());
        if !agrees && !OTHERWISE.contains(&name) {
            wrong.push(format!("{name}: {told:?}, not {facts:?}"));
        }
        tally.examine(&image, name);
    }
    println!("{known} of known kinds");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    tally.ends(8);
}
