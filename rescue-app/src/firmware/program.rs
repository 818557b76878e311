//! Programs that firmware starts: PE images (Microsoft, "PE Format" and "Windows Authenticode Portable
//! Executable Signature Format").

use sha2::{Digest, Sha256};

use super::certificate::Signature;
use crate::bytes::{ReadAt, le16, le32, slice};

/// Bytes before the signature of a PE image that its place is written in, and where.
const DOS_HEADER: usize = 64;
const SIGNATURE_AT: usize = 0x3c;
const SIGNATURE: &[u8] = b"PE\0\0";
/// From that signature on: the kind of processor, the number of sections, the length of the optional
/// header, and that itself.
const MACHINE_AT: usize = 4;
const SECTIONS_AT: usize = 6;
const OPTIONAL_LEN_AT: usize = 20;
const OPTIONAL_AT: usize = 24;
/// In the optional header: what it is, the length of all headers, a checksum, and of PE32 and PE32+ the
/// entry that says where signatures lie.
const PE32_PLUS: u16 = 0x20b;
const HEADERS_LEN_AT: usize = 60;
const CHECKSUM_AT: usize = 64;
const CERTIFICATES_AT: [usize; 2] = [128, 144];
/// Bytes of an entry of the section table; where in it the length and place of a section are.
const SECTION: usize = 40;
const SECTION_LEN_AT: usize = 16;
const SECTION_START_AT: usize = 20;
/// The most sections that Windows loads.
const MOST_SECTIONS: usize = 96;

/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`, and the bytes before it.
const PKCS_SIGNED_DATA: u16 = 2;
const CERTIFICATE_HEADER: usize = 8;

/// Larger ones are not looked at, bytes: boot loaders have a few MiB.
const LARGEST: u64 = 32 << 20;

/// What a program is called where firmware without an entry for a disk looks for one, in `\EFI\BOOT`, by the
/// kind of processor that it is for (UEFI specification 2.10, 3.5.1.1); `None` when it is no program
/// of a kind that is known.
pub fn usual_name(file: &dyn ReadAt) -> Option<&'static str> {
    let at = u64::from(le32(&file.read_vec(0, DOS_HEADER).ok()?, SIGNATURE_AT)?);
    let header = file.read_vec(at, MACHINE_AT + 2).ok()?;
    match le16(&header, MACHINE_AT).filter(|_| header.starts_with(SIGNATURE))? {
        0x014c => Some("BOOTIA32.EFI"),
        0x8664 => Some("BOOTX64.EFI"),
        0x01c2 => Some("BOOTARM.EFI"),
        0xaa64 => Some("BOOTAA64.EFI"),
        0x5064 => Some("BOOTRISCV64.EFI"),
        0x6264 => Some("BOOTLOONGARCH64.EFI"),
        _ => None,
    }
}

/// A program that was read.
pub struct Program {
    bytes: Vec<u8>,
    /// Where its optional header begins.
    optional: usize,
    /// Where the entry that says where signatures lie is.
    certificates_entry: usize,
    /// Its sections by their places: first byte and length.
    sections: Vec<(usize, usize)>,
    /// The section with the generations of what it is made of (`.sbat`).
    sbat: Option<(usize, usize)>,
}

impl Program {
    /// Reads a program; `None` when it is none, is larger than boot loaders are, or cannot be read.
    pub fn read(file: &dyn ReadAt) -> Option<Self> {
        let len = usize::try_from(file.size()).ok().filter(|_| file.size() <= LARGEST)?;
        Self::parse(file.read_vec(0, len).ok()?)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let start = usize::try_from(le32(&bytes, SIGNATURE_AT)?).ok()?;
        let header = bytes.get(start..)?;
        let count = usize::from(le16(header, SECTIONS_AT)?);
        if !header.starts_with(SIGNATURE) || count > MOST_SECTIONS {
            return None;
        }
        let optional = start + OPTIONAL_AT;
        let [pe32, pe32_plus] = CERTIFICATES_AT;
        let is_plus = le16(&bytes, optional)? == PE32_PLUS;
        let certificates_entry = optional + if is_plus { pe32_plus } else { pe32 };
        let table = optional + usize::from(le16(header, OPTIONAL_LEN_AT)?);
        let mut sections = Vec::new();
        let mut sbat = None;
        for number in 0..count {
            let entry = slice(&bytes, table + number * SECTION, SECTION)?;
            let field = |at| usize::try_from(le32(entry, at)?).ok();
            let place = (field(SECTION_START_AT)?, field(SECTION_LEN_AT)?);
            if entry.starts_with(b".sbat\0") {
                sbat = Some(place);
            }
            sections.push(place);
        }
        sections.sort_unstable();
        Some(Self { bytes, optional, certificates_entry, sections, sbat })
    }

    fn field(&self, at: usize) -> Option<usize> {
        usize::try_from(le32(&self.bytes, at)?).ok()
    }

    /// The bytes that hold signatures.
    fn certificates(&self) -> &[u8] {
        let at = self.certificates_entry;
        let place = self.field(at).zip(self.field(at + 4));
        place.and_then(|(start, len)| slice(&self.bytes, start, len)).unwrap_or_default()
    }

    /// All signatures; those of kinds that are not known are left out.
    pub(super) fn signatures(&self) -> Vec<Signature> {
        let mut rest = self.certificates();
        let mut found = Vec::new();
        while let Some(len) = le32(rest, 0).and_then(|len| usize::try_from(len).ok()) {
            let Some(one) = rest.get(..len).filter(|one| one.len() > CERTIFICATE_HEADER) else {
                break;
            };
            if le16(one, 6) == Some(PKCS_SIGNED_DATA) {
                found.extend(one.get(CERTIFICATE_HEADER..).and_then(Signature::parse));
            }
            // Each begins at a multiple of eight bytes.
            rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
        }
        found
    }

    /// What signatures are made of, and what lists of refused programs name: SHA-256 of all but the
    /// checksum and the signatures; `None` when the headers make no sense.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        let (checksum, entry) = (self.optional + CHECKSUM_AT, self.certificates_entry);
        let headers = self.field(self.optional + HEADERS_LEN_AT)?;
        let mut hash = Sha256::new();
        hash.update(self.bytes.get(..checksum)?);
        hash.update(self.bytes.get(checksum + 4..entry)?);
        hash.update(self.bytes.get(entry + 8..headers)?);
        let mut hashed = headers;
        for (start, len) in &self.sections {
            hash.update(slice(&self.bytes, *start, *len)?);
            hashed = hashed.checked_add(*len)?;
        }
        let end = self.bytes.len().checked_sub(self.certificates().len())?;
        hash.update(self.bytes.get(hashed..end.max(hashed))?);
        Some(hash.finalize().into())
    }

    /// The generations of what it is made of, in the lines of its section `.sbat` (shim, `SBAT.md`).
    pub(crate) fn generations(&self) -> &[u8] {
        self.sbat.and_then(|(start, len)| slice(&self.bytes, start, len)).unwrap_or_default()
    }
}
