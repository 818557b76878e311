//! Files that hold a disk in a form of their own: what virtual machines, imaging programs and
//! compressors write. Read as it stands such a file is no disk, and a disk that is written over it
//! destroys what it holds.
//!
//! Sources: QEMU `docs/interop/qcow2.rst`, `block/{qcow,qed,vdi,vmdk,parallels,bochs,dmg}.c`; Microsoft
//! "Virtual Hard Disk Image Format Specification" and MS-VHDX §2.2; RFC 1952, RFC 8878 and the formats
//! of xz, bzip2, LZ4, lzip, zip and 7-Zip; partclone `src/partclone.h`; Android
//! `libsparse/sparse_format.h`; libewf "Expert Witness Compression Format".

use std::path::Path;

use super::packing::Packing;
use crate::bytes::{ReadAt, be32};
use crate::console;
use crate::virtual_disk::Format;

/// Bytes that all marks at the start lie in.
pub(super) const HEAD: usize = 512;
/// Bytes of the blocks that end a VHD and a DMG.
const TAIL: u64 = 512;
/// Byte of a VHD's footer at which its kind stands, and that of one that is raw in front of it.
const VHD_KIND: usize = 60;
const VHD_FIXED: u32 = 2;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignFile {
    /// Its format, as people call it.
    pub name: &'static str,
    way: Way,
}

/// How a disk is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By our own reader.
    Disk(Format),
    /// By our own readers of the files that it names.
    Description,
    /// By our own unpacker.
    Packed(Packing),
    /// By our own reader of partclone's images.
    Partclone,
    /// By `qemu-img`.
    Convert,
    /// By a program that writes it to its standard output.
    Unpack(&'static str),
    /// By another program, given in words.
    Other(&'static str),
}

use Way::{Convert, Description, Disk, Other, Packed, Partclone, Unpack};

/// A mark: where it stands in the file, its bytes, and what it says.
type Mark = (usize, &'static [u8], &'static str, Way);

#[rustfmt::skip]
const MARKS: &[Mark] = &[
    (0, b"QFI\xfb", "qcow2", Disk(Format::Qcow2)),
    (0, b"QED\0", "QED", Convert),
    (0, b"KDMV", "VMDK", Disk(Format::Vmdk)),
    (0, b"COWD", "VMDK", Convert),
    (0, b"# Disk DescriptorFile", "VMDK description", Description),
    (64, b"\x7f\x10\xda\xbe", "VDI", Disk(Format::Vdi)),
    (0, b"conectix", "VHD", Disk(Format::Vhd)),
    (0, b"vhdxfile", "VHDX", Disk(Format::Vhdx)),
    (0, b"WithoutFreeSpace", "Parallels disk", Convert),
    (0, b"WithouFreSpacExt", "Parallels disk", Convert),
    (0, b"Bochs Virtual HD Image", "Bochs disk", Convert),
    (0, b"encrcdsa", "encrypted DMG", Other("decrypt it with hdiutil convert on a Mac")),
    (0, b"\xfd7zXZ\0", "xz", Packed(Packing::Xz)),
    (0, b"\x28\xb5\x2f\xfd", "zst", Packed(Packing::Zstd)),
    (0, b"\x1f\x8b\x08", "gz", Packed(Packing::Gzip)),
    (0, b"BZh", "bz2", Packed(Packing::Bzip2)),
    (0, b"\x04\x22\x4d\x18", "lz4", Packed(Packing::Lz4)),
    (0, b"LZIP\x01", "lzip", Unpack("lzip -dc")),
    (0, b"\x89LZO\0\x0d\x0a\x1a\x0a", "lzo", Unpack("lzop -dc")),
    (257, b"ustar", "tar", Unpack("tar -xOf")),
    (0, b"PK\x03\x04", "zip", Unpack("unzip -p")),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip", Unpack("7z x -so")),
    (0, b"Rar!\x1a\x07", "RAR", Unpack("unrar p -inul")),
    (0, b"partclone-image", "partclone", Partclone),
    (0, b"\0ntfsclone-image", "ntfsclone", Other("restore it with ntfsclone --restore-image")),
    (0, b"PaRtImAgE-VoLuMe", "Partimage", Other("restore it with partimage, and capture that disk")),
    (0, b"FsArCh_", "FSArchiver", Other("restore it with fsarchiver, and capture that disk")),
    (0, b"MSWIM\0\0\0", "WIM", Other("apply it with wimapply, and capture that disk")),
    (0, b"\x3a\xff\x26\xed", "Android sparse image", Other("convert it with simg2img")),
    (0, b"EVF\x09\x0d\x0a\xff\0", "EWF (E01)", Other("convert it with ewfexport -f raw")),
    (0, b"EVF2\x0d\x0a\x81\0", "EWF (Ex01)", Other("convert it with ewfexport -f raw")),
    (0, b"AFF10\x0d\x0a\0", "AFF", Other("convert it with affconvert -r")),
];

impl ForeignFile {
    /// Looks at the start and the end of a file. `None` for what is a disk as it stands, as far as
    /// can be told, and for what cannot be read.
    pub fn recognise(file: &dyn ReadAt) -> Option<Self> {
        let len = usize::try_from(file.size()).unwrap_or(HEAD).min(HEAD);
        let head = file.read_vec(0, len).ok()?;
        let stands =
            |(at, bytes, _, _): &&Mark| head.get(*at..).is_some_and(|it| it.starts_with(bytes));
        let marked = MARKS.iter().find(stands).map(|(_, _, name, way)| Self { name, way: *way });
        marked.or_else(|| Self::by_its_end(file))
    }

    fn by_its_end(file: &dyn ReadAt) -> Option<Self> {
        let tail = file.read_vec(file.size().checked_sub(TAIL)?, 512).ok()?;
        if tail.starts_with(b"koly") {
            return Some(Self { name: "DMG", way: Convert });
        }
        let kind = be32(&tail, VHD_KIND).filter(|_| tail.starts_with(b"conectix"))?;
        Some(match kind {
            VHD_FIXED => Self { name: "VHD of fixed size", way: Disk(Format::VhdFixed) },
            _ => Self { name: "VHD", way: Disk(Format::Vhd) },
        })
    }

    /// Whether all that is foreign is a footer, so that it may be chance.
    pub fn is_footer_alone(self) -> bool {
        self.way == Disk(Format::VhdFixed)
    }

    /// How a disk is made of it.
    pub(super) fn way(self) -> Way {
        self.way
    }

    /// What a person does to have the file at `path` as a disk.
    pub fn next_step(self, path: &Path) -> String {
        let path = console::path(path);
        match self.way {
            Convert | Description | Disk(_) => {
                format!("convert it first: qemu-img convert -O raw '{path}' disk.img")
            }
            Packed(packing) => {
                format!("unpack it first: {} -dc '{path}' > disk.img", packing.program())
            }
            Partclone => {
                format!(
                    "restore it first: partclone.restore -C --restore_raw_file -s '{path}' -O disk.img"
                )
            }
            Unpack(command) => format!("unpack it first: {command} '{path}' > disk.img"),
            Other(words) => words.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_where_they_stand() {
        let named = |file: &[u8]| ForeignFile::recognise(&file.to_vec()).map(|found| found.name);
        for (at, bytes, name, _) in MARKS {
            let mut file = vec![0; 4096];
            file[*at..*at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(named(&file), Some(*name));
            assert_eq!(named(&file[..*at + bytes.len()]), Some(*name), "nothing but the mark");
            file[*at] ^= 0xff;
            assert_eq!(named(&file), None, "{name}");
        }
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[0; 512]), None);
    }

    #[test]
    fn a_footer_makes_a_vhd_of_fixed_size() {
        let mut file = vec![0; 1024];
        file[512..520].copy_from_slice(b"conectix");
        file[512 + 63] = 2;
        let way = |file: &Vec<u8>| ForeignFile::recognise(file).unwrap().way();
        assert_eq!(way(&file), Disk(Format::VhdFixed));
        file[512 + 63] = 3;
        assert_eq!(way(&file), Disk(Format::Vhd));
    }

    #[test]
    fn the_next_step_names_the_file() {
        let found = ForeignFile::recognise(&b"QFI\xfb\0\0\0\x03".to_vec()).unwrap();
        let step = found.next_step(Path::new("a b.qcow2"));
        assert_eq!(step, "convert it first: qemu-img convert -O raw 'a b.qcow2' disk.img");
    }
}
