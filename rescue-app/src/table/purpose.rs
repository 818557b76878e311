//! What a partition's type says of its content that its first bytes cannot.

use super::names::{gpt_type_name, mbr_type_name};

/// How the content of a partition is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// One volume, whatever its own bytes say it is.
    #[default]
    Volume,
    /// No filesystem, by design: boot code, room kept free, records of what lies elsewhere.
    Raw,
    /// Volumes or parts of volumes of the named system, so that a filesystem which begins at the
    /// first byte says nothing of the rest.
    Divided(&'static str),
}

/// Types in an MBR without a filesystem: boot managers and boot code (OS/2, `PReP`, PA-RISC),
/// memory of a machine that sleeps or crashed, "non-FS data", room kept for firmware.
const RAW_MBR: &[u8] = &[0x0a, 0x41, 0x84, 0xa0, 0xda, 0xf0, 0xf8, 0xfc];

/// Types in an MBR that are divided further: by a label in them (Plan 9, UnixWare, BSD, NeXTSTEP,
/// Solaris: Linux `block/partitions/`), or by records at the end of the disk (dynamic disks: Linux
/// `block/partitions/ldm.c`; volume sets of Windows NT; VMFS).
const DIVIDED_MBR: &[u8] =
    &[0x39, 0x42, 0x63, 0x86, 0x87, 0x9f, 0xa5, 0xa6, 0xa7, 0xa9, 0xb7, 0xbe, 0xbf, 0xfb];

/// Names of GPT types without a filesystem.
const RAW_GPT: &[&str] = &[
    "BIOS boot",
    "Intel Rapid Start",
    "PowerPC PReP boot",
    "Microsoft reserved",
    "Windows LDM metadata",
    "Linux reserved",
    "FreeBSD boot",
    "MidnightBSD boot",
    "Apple label",
    "Solaris alternate sector",
    "Solaris reserved 1",
    "Solaris reserved 2",
    "Solaris reserved 3",
    "Solaris reserved 4",
    "Solaris reserved 5",
    "ChromeOS kernel",
    "ChromeOS reserved",
    "ChromeOS firmware",
    "ChromeOS miniOS",
    "ChromeOS hibernation",
    "Ceph Journal",
    "Ceph Encrypted Journal",
    "VMware core dump",
    "VMware Reserved",
    "HiFive FSBL",
    "HiFive BBL",
    "Marvell Armada 3700 Boot partition",
];

/// Names of GPT types that are parts of something, or divided further. ChromeOS keeps the hash
/// tree of its root filesystem behind it, which speaks of every block.
const DIVIDED_GPT: &[&str] = &[
    "MBR partition scheme",
    "Windows LDM data",
    "Windows storage spaces",
    "IBM GPFS",
    "FreeBSD data",
    "FreeBSD Vinum",
    "MidnightBSD data",
    "MidnightBSD Vinum",
    "NetBSD concatenated",
    "NetBSD encrypted",
    "NetBSD RAID",
    "Apple RAID",
    "Apple RAID offline",
    "Apple CoreStorage",
    "ChromeOS root fs",
    "VMware VMFS",
    "VMware Virtual SAN",
    "VMware Virsto",
    "OpenBSD data",
    "Plan 9 partition",
];

impl Purpose {
    /// By the type as [`super::Partition::type_id`] has it.
    pub(super) fn of(type_id: &str) -> Self {
        let mbr = type_id.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let name = mbr.map_or_else(|| gpt_type_name(type_id), mbr_type_name);
        let (raw, divided) = match mbr {
            Some(kind) => (RAW_MBR.contains(&kind), DIVIDED_MBR.contains(&kind)),
            None => (RAW_GPT.contains(&name), DIVIDED_GPT.contains(&name)),
        };
        match (raw, divided) {
            (true, _) => Self::Raw,
            (false, true) => Self::Divided(name),
            (false, false) => Self::Volume,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_tell_what_a_filesystem_at_the_start_cannot() {
        let cases = [
            ("0x83", Purpose::Volume),
            ("0x07", Purpose::Volume),
            ("0x41", Purpose::Raw),
            ("0x42", Purpose::Divided("Windows dynamic disk")),
            ("0xa5", Purpose::Divided("FreeBSD")),
            ("0fc63daf-8483-4772-8e79-3d69d8477de4", Purpose::Volume),
            ("e3c9e316-0b5c-4db8-817d-f92df00215ae", Purpose::Raw),
            ("af9b60a0-1431-4f62-bc68-3311714a69ad", Purpose::Divided("Windows LDM data")),
            ("00000000-0000-0000-0000-000000000001", Purpose::Volume),
            ("0xzz", Purpose::Volume),
        ];
        for (type_id, purpose) in cases {
            assert_eq!(Purpose::of(type_id), purpose, "{type_id}");
        }
    }

    #[test]
    fn every_name_is_one_of_a_type() {
        for name in RAW_GPT.iter().chain(DIVIDED_GPT) {
            assert!(super::super::names::is_gpt_type_name(name), "{name}");
        }
    }
}
