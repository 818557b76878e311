//! What other programs know and no reader here does: to name it, and for a map to be believed only
//! where nothing else may live beside what it is the map of. A leftover superblock can pass every
//! check of its own as long as the new owner of the volume wrote only where the old one had nothing.
//!
//! Source of names, places and of what counts where: libblkid (`libblkid/src/superblocks`).

use std::io;

use crate::bytes::{Extent, ReadAt, le32, slice};
use crate::signature::{self, Signature, Usage};
use crate::volume::Kind;

/// Bytes of which none is believed when one of them cannot be read.
const PIECE: usize = 4096;
/// Fewer uberblocks than this are a remnant of ZFS, as libblkid judges.
const UBERBLOCKS: usize = 4;
/// Length of the signature of an uberblock; that of a label's list of names is longer.
const UBERBLOCK: usize = 8;

/// Kinds that only [`signature`] knows, by their names there.
const KINDS: &[(&str, Kind)] = &[
    ("bcache", Kind::Bcache),
    ("bcachefs", Kind::Bcachefs),
    ("befs", Kind::BeFs),
    ("bfs", Kind::Bfs),
    ("ceph_bluestore", Kind::CephBluestore),
    ("cramfs", Kind::Cramfs),
    ("cs_fvault2", Kind::CoreStorage),
    ("DM_integrity", Kind::DmIntegrity),
    ("DM_snapshot_cow", Kind::DmSnapshot),
    ("DM_verity_hash", Kind::DmVerity),
    ("drbd", Kind::Drbd),
    ("drbdmanage_control_volume", Kind::Drbd),
    ("drbdproxy_datalog", Kind::Drbd),
    ("erofs", Kind::Erofs),
    ("exfs", Kind::Exfs),
    ("gfs2", Kind::Gfs2),
    ("hfs", Kind::Hfs),
    ("hpfs", Kind::Hpfs),
    ("jbd", Kind::ExtJournal),
    ("jfs", Kind::Jfs),
    ("LVM1_member", Kind::Lvm1),
    ("minix", Kind::Minix),
    ("mpool", Kind::Mpool),
    ("nilfs2", Kind::Nilfs2),
    ("nss", Kind::Nss),
    ("ocfs", Kind::Ocfs2),
    ("ocfs2", Kind::Ocfs2),
    ("oracleasm", Kind::OracleAsm),
    ("reiser4", Kind::Reiser4),
    ("reiserfs", Kind::ReiserFs),
    ("romfs", Kind::Romfs),
    ("scoutfs_meta", Kind::Scoutfs),
    ("squashfs3", Kind::Squashfs),
    ("stratis", Kind::Stratis),
    ("sysv", Kind::SysV),
    ("ubi", Kind::Ubi),
    ("ubifs", Kind::Ubifs),
    ("udf", Kind::Udf),
    ("ufs", Kind::Ufs),
    ("vdo", Kind::Vdo),
    ("VMFS", Kind::Vmfs),
    ("VMFS_volume_member", Kind::Vmfs),
    ("vxfs", Kind::VxFs),
    ("xenix", Kind::SysV),
    ("xfs_external_log", Kind::XfsLog),
    ("zonefs", Kind::Zonefs),
];

/// Kinds that deal out the blocks of a volume: what shows beside their signature is in them, or
/// from before.
const OWNERS: &[Kind] = &[
    Kind::Bcache,
    Kind::CephBluestore,
    Kind::CoreStorage,
    Kind::DmIntegrity,
    Kind::DmSnapshot,
    Kind::DmVerity,
    Kind::Drbd,
    Kind::Lvm1,
    Kind::OracleAsm,
    Kind::Stratis,
    Kind::Ubi,
    Kind::Vdo,
    Kind::Vmfs,
];

/// What stands on a volume besides what was recognised on it.
pub(super) enum Beside {
    /// Something that owns the whole volume.
    Owner(Kind),
    /// A signature of something else, in words.
    Other(String),
}

/// The one kind whose signature is on a volume on which no reader found anything.
pub(super) fn kind(volume: &dyn ReadAt) -> Option<Kind> {
    let found = signature::find(&Readable(volume)).ok()?;
    let mut kinds: Vec<Kind> = counting(&found).filter_map(|it| kind_of(it.name)).collect();
    kinds.sort_by_key(|kind| !OWNERS.contains(kind));
    kinds.dedup();
    match kinds.as_slice() {
        [one] => Some(*one),
        [first, ..] if OWNERS.contains(first) => Some(*first),
        _ => None,
    }
}

/// What makes the map of a volume that was recognised as `kind` not to be believed; `None` also for
/// kinds without a map. What lies in the first `shown` bytes belongs to the content of a container.
pub(super) fn beside(volume: &dyn ReadAt, kind: Kind, shown: u64) -> Option<Beside> {
    let own = own(kind)?;
    let found = signature::find(&Readable(volume)).ok()?;
    let is_other = |it: &&Signature| !own.contains(&it.name) && it.end() > shown;
    let others: Vec<&Signature> = counting(&found)
        .filter(is_other)
        .filter(|it| it.usage != Usage::Table || is_table(volume, it))
        // Its magic is two bytes, which libblkid does not believe beside that of ext.
        .filter(|it| it.name != "minix" || !own.contains(&"ext4"))
        .collect();
    let owner = others.iter().filter_map(|it| kind_of(it.name)).find(|it| OWNERS.contains(it));
    owner.map(Beside::Owner).or_else(|| others.first().map(|it| Beside::Other(words(it))))
}

/// What owns a whole disk that has a table with these partitions all the same, in words: RAID by the
/// firmware of other makers than [`crate::container::firmware_raid`] reads, whose stripes the table may speak
/// of, and what was put over an older table. DRBD's metadata leave the content in one piece.
pub fn owner_of_disk(disk: &dyn ReadAt, partitions: &[Extent]) -> Option<String> {
    let found = signature::find(&Readable(disk)).ok()?;
    let in_partition = |it: &Signature| {
        partitions.iter().any(|part| part.start <= it.offset && it.end() <= part.end)
    };
    found.iter().find_map(|it| {
        let kind = kind_of(it.name).filter(|kind| OWNERS.contains(kind) && *kind != Kind::Drbd);
        let firmware = it
            .name
            .strip_suffix("_raid_member")
            .filter(|name| !matches!(*name, "linux" | "isw" | "ddf"));
        match (kind, firmware) {
            (Some(kind), _) if !in_partition(it) => Some(kind.to_string()),
            (_, Some(maker)) => Some(format!("firmware RAID ({maker})")),
            _ => None,
        }
    })
}

fn words(signature: &Signature) -> String {
    let name = kind_of(signature.name).map_or_else(|| signature.name.to_owned(), |k| k.to_string());
    match signature.usage {
        Usage::Table => format!("a partition table ({name})"),
        _ => format!("{name} (at byte {})", signature.offset),
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The names that go with a kind whose map is read here.
fn own(kind: Kind) -> Option<&'static [&'static str]> {
    Some(match kind {
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => &["ext2", "ext3", "ext4"],
        Kind::Ntfs => &["ntfs"],
        Kind::Fat12 | Kind::Fat16 | Kind::Fat32 => &["vfat"],
        Kind::ExFat => &["exfat"],
        Kind::Xfs => &["xfs", "xfs_external_log"],
        Kind::Btrfs => &["btrfs"],
        Kind::F2fs => &["f2fs"],
        Kind::Swap => &["swap", "swsuspend"],
        Kind::Lvm2 => &["LVM2_member"],
        Kind::MdRaid => &["linux_raid_member"],
        Kind::FirmwareRaid => &["ddf_raid_member", "isw_raid_member"],
        Kind::HfsPlus => &["hfsplus"],
        _ => return None,
    })
}

/// The signatures that say something about the volume as a whole: not the copies that formats keep
/// and that outlast them, not what stands at the end of a disk and belongs to the disk, and not what
/// the readers here judge better.
fn counting(found: &[Signature]) -> impl Iterator<Item = &Signature> {
    let rings = found.iter().filter(|it| it.name == "zfs_member" && it.len == UBERBLOCK).count();
    found.iter().filter(move |it| match it.name {
        "atari" | "aix" | "PMBR" => false,
        "linux_raid_member" => false,
        name if name.ends_with("_raid_member") => false,
        "gpt" => matches!(it.offset, 512 | 4096),
        "btrfs" => it.offset < 1 << 20,
        "bcachefs" => it.offset < 1 << 20,
        "crypto_LUKS" => it.offset == 0,
        "f2fs" => it.offset == 1 << 10,
        "hfsplus" => it.offset == 1 << 10,
        "jfs" => it.offset == 32 << 10,
        "ntfs" => it.offset == 3,
        "zfs_member" => it.len != UBERBLOCK || rings >= UBERBLOCKS,
        _ => true,
    })
}

/// Whether a table is one: an MBR is one when an entry of it says something. Boot sectors of
/// filesystems end with its two bytes as well.
fn is_table(volume: &dyn ReadAt, signature: &Signature) -> bool {
    if signature.name != "dos" {
        return true;
    }
    let sectors = volume.size() / 512;
    let boot = volume.read_vec(0, 512).unwrap_or_default();
    let entries = slice(&boot, 446, 64).unwrap_or_default().chunks(16);
    let fits = |entry: &[u8]| {
        let (start, len) = (u64::from(le32(entry, 8)?), u64::from(le32(entry, 12)?));
        let inside = start != 0 && len != 0 && start.saturating_add(len) <= sectors;
        Some(inside && *entry.get(4)? != 0)
    };
    entries.into_iter().any(|entry| fits(entry) == Some(true))
}

/// A volume with zeros where it cannot be read: what stands there is not known, and a bad sector near
/// an end of a disk is no reason to disbelieve a map that was read.
struct Readable<'a>(&'a dyn ReadAt);

impl ReadAt for Readable<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self.0.read_at(offset, buf) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {}
            done => return done,
        }
        let mut at = offset;
        for piece in buf.chunks_mut(PIECE) {
            if self.0.read_at(at, piece).is_err() {
                piece.fill(0);
            }
            at = at.saturating_add(piece.len() as u64);
        }
        Ok(())
    }
}
