//! Device paths: how firmware writes down where a program lies (UEFI specification 2.10, chapter 10).

use crate::bytes::{le16, le32, le64, slice};
use crate::volume::text::utf16;

/// `MEDIA_DEVICE_PATH` (10.3.5).
const MEDIA: u8 = 4;
/// Of these a partition of a disk (10.3.5.1), and a path of a file (10.3.5.4).
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
/// The end of a path, or of one of several in a row (10.3.1).
const END: u8 = 0x7f;
const ENTIRE: u8 = 0xff;

/// Bytes of a node before what is its own: type, subtype and length.
const HEADER: usize = 4;
/// Length of a hard drive node, bytes.
const HARD_DRIVE_LEN: u16 = 42;

/// What tells a partition from those of other disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionId {
    /// The GUID of a GPT partition, as it lies on the disk.
    Gpt([u8; 16]),
    /// The signature of an MBR.
    Mbr(u32),
}

impl PartitionId {
    /// That of what Linux calls `PARTUUID`, by which a table tells its partitions.
    pub fn of_part_uuid(text: &str) -> Option<Self> {
        if let Some((signature, _)) =
            text.split_once('-').filter(|(first, _)| text.len() == first.len() + 3)
        {
            return u32::from_str_radix(signature, 16).ok().map(Self::Mbr);
        }
        let mut guid: [u8; 16] = hex::decode(text.replace('-', "")).ok()?.try_into().ok()?;
        swap_fields(&mut guid);
        Some(Self::Gpt(guid))
    }
}

/// The first three fields of a GUID are little-endian on disks and big-endian in text.
fn swap_fields(guid: &mut [u8; 16]) {
    for field in [0..4, 4..6, 6..8] {
        if let Some(field) = guid.get_mut(field) {
            field.reverse();
        }
    }
}

/// The node of a device path that names a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardDrive {
    /// Number of the partition.
    pub number: u32,
    /// Its first sector.
    pub start: u64,
    /// Its length in sectors.
    pub size: u64,
    /// Which disk's it is.
    pub id: PartitionId,
}

impl HardDrive {
    fn parse(node: &[u8]) -> Option<Self> {
        let signature = slice(node, 24, 16)?;
        let id = match *node.get(41)? {
            1 => PartitionId::Mbr(le32(signature, 0)?),
            2 => PartitionId::Gpt(signature.try_into().ok()?),
            _ => return None,
        };
        Some(Self { number: le32(node, 4)?, start: le64(node, 8)?, size: le64(node, 16)?, id })
    }

    /// The node's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (format, signature_type, signature) = match self.id {
            PartitionId::Mbr(signature) => {
                let mut bytes = [0; 16];
                for (to, from) in bytes.iter_mut().zip(signature.to_le_bytes()) {
                    *to = from;
                }
                (1, 1, bytes)
            }
            PartitionId::Gpt(guid) => (2, 2, guid),
        };
        let mut node = vec![MEDIA, HARD_DRIVE];
        node.extend(HARD_DRIVE_LEN.to_le_bytes());
        node.extend(self.number.to_le_bytes());
        node.extend(self.start.to_le_bytes());
        node.extend(self.size.to_le_bytes());
        node.extend(signature);
        node.extend([format, signature_type]);
        node
    }

    /// Its partition as Linux' `PARTUUID`, by which a table tells its partitions.
    pub fn part_uuid(&self) -> String {
        match self.id {
            PartitionId::Mbr(signature) => format!("{signature:08x}-{:02x}", self.number),
            PartitionId::Gpt(mut guid) => {
                swap_fields(&mut guid);
                let digits = hex::encode(guid);
                let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
                parts.map(|part| digits.get(part).unwrap_or_default().to_owned()).join("-")
            }
        }
    }
}

/// The path of a file on a partition; `None` when it is longer than a node can be.
pub(super) fn path_of(drive: &HardDrive, file: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = file.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut path = drive.to_bytes();
    path.extend([MEDIA, FILE_PATH]);
    path.extend(u16::try_from(text.len().checked_add(HEADER)?).ok()?.to_le_bytes());
    path.extend(text);
    path.extend([END, ENTIRE, 4, 0]);
    Some(path)
}

/// A program on a partition, by the first path of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OnDrive {
    pub(super) drive: HardDrive,
    /// Where the partition's node ends, bytes from the start of the list. What lies before it only says
    /// by which way the disk was reached.
    pub(super) end: usize,
    /// `\EFI\debian\shimx64.efi`; `None` where firmware is to look for its usual one.
    pub(super) file: Option<String>,
}

/// The program that a list of paths leads to, if it lies on a partition.
pub(super) fn on_drive(paths: &[u8]) -> Option<OnDrive> {
    let mut found: Option<OnDrive> = None;
    let mut at = 0usize;
    loop {
        let len = usize::from(le16(paths, at.checked_add(2)?)?);
        let node = slice(paths, at, len.max(HEADER))?;
        let end = at.checked_add(node.len())?;
        match (*node.first()?, *node.get(1)?) {
            (END, _) => return found,
            (MEDIA, HARD_DRIVE) if found.is_none() => {
                found = Some(OnDrive { drive: HardDrive::parse(node)?, end, file: None });
            }
            (MEDIA, FILE_PATH) => {
                let text = utf16(node.get(HEADER..).unwrap_or_default());
                if let Some(found) = &mut found {
                    found.file = Some(joined(found.file.take(), &text));
                }
            }
            _ => {}
        }
        at = end;
    }
}

/// Several nodes of files in a row are one path (10.3.5.4).
fn joined(before: Option<String>, text: &str) -> String {
    match before {
        Some(before) => {
            format!("{}\\{}", before.trim_end_matches('\\'), text.trim_start_matches('\\'))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_written_as_tables_tell_them() {
        let guid = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
        for (number, text) in [(7, guid), (1, "deadbeef-01"), (12, "0000beef-0c")] {
            let id = PartitionId::of_part_uuid(text).unwrap();
            assert_eq!(HardDrive { number, start: 1, size: 2, id }.part_uuid(), text);
        }
        assert_eq!(PartitionId::of_part_uuid(""), None);
        assert_eq!(PartitionId::of_part_uuid("deadbeef"), None);
    }

    #[test]
    fn a_node_is_read_as_it_is_written_and_no_path_runs_past_its_end() {
        let drive =
            HardDrive { number: 3, start: 2048, size: 99, id: PartitionId::Mbr(0xdead_beef) };
        let mut paths = drive.to_bytes();
        for part in ["\\EFI\\", "boot.efi"] {
            let text: Vec<u8> = part.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
            paths.extend([MEDIA, FILE_PATH]);
            paths.extend(u16::try_from(text.len() + HEADER).unwrap().to_le_bytes());
            paths.extend(text);
        }
        for end in 0..=paths.len() {
            assert_eq!(on_drive(&paths[..end]), None, "without an end at {end}");
        }
        paths.extend([END, 0xff, 4, 0]);
        let found = on_drive(&paths).unwrap();
        assert_eq!((found.drive, found.end), (drive, 42));
        assert_eq!(found.file.as_deref(), Some("\\EFI\\boot.efi"));
        // A length of zero would stand still.
        assert_eq!(on_drive(&[MEDIA, 9, 0, 0, MEDIA, 9, 0, 0]), None);
    }
}
