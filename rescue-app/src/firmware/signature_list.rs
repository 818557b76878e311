//! The keys that firmware trusts and those that it refuses: `EFI_SIGNATURE_LIST`s in the variables
//! `db` and `dbx` (UEFI specification 2.10, 32.4.1).

use super::certificate::{Certificate, Signature};
use crate::bytes::{le32, slice};

/// `EFI_CERT_X509_GUID`, `EFI_CERT_SHA256_GUID` and `EFI_CERT_X509_SHA256_GUID`, as they are stored.
const X509: [u8; 16] = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];
const SHA256: [u8; 16] = [
    0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28,
];
const X509_SHA256: [u8; 16] = [
    0x92, 0xa4, 0xd2, 0x3b, 0xc0, 0x96, 0x79, 0x40, 0xb4, 0x20, 0xfc, 0xf9, 0x8e, 0xf1, 0x03, 0xed,
];

/// Bytes of a list before its own header: type, size of the list, of the header and of each signature.
const HEADER: usize = 28;
/// Bytes of a signature before its data: who put it there.
const OWNER: usize = 16;

/// What a variable lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    pub(super) certificates: Vec<Certificate>,
    /// SHA-256 of programs.
    programs: Vec<[u8; 32]>,
    /// SHA-256 of what is signed of certificates.
    signed: Vec<[u8; 32]>,
}

impl Keys {
    /// Reads the lists of a variable, up to what makes no sense. Other kinds of signatures are passed over.
    pub(super) fn parse(mut bytes: &[u8]) -> Self {
        let mut keys = Self::default();
        while let Some((list, rest)) = one_list(bytes) {
            keys.add(list);
            bytes = rest;
        }
        keys
    }

    fn add(&mut self, list: &[u8]) -> Option<()> {
        let field = |at| usize::try_from(le32(list, at)?).ok();
        let (header, size) = (field(20)?, field(24)?);
        let kind = slice(list, 0, 16)?;
        let signatures = list.get(HEADER.checked_add(header)?..)?;
        for signature in signatures.chunks_exact(size.max(OWNER + 1)) {
            let data = signature.get(OWNER..)?;
            let hash = || <[u8; 32]>::try_from(data.get(..32)?).ok();
            if kind == X509 {
                self.certificates.extend(Certificate::parse(data));
            } else if kind == SHA256 {
                self.programs.extend(hash());
            } else if kind == X509_SHA256 {
                self.signed.extend(hash());
            }
        }
        Some(())
    }

    /// Whether the program of that hash is listed.
    pub(super) fn has_program(&self, hash: &[u8; 32]) -> bool {
        self.programs.contains(hash)
    }

    /// Whether a certificate of a signature is listed, or was issued by one that is.
    pub(super) fn has_signer(&self, signature: &Signature) -> bool {
        signature.chain.iter().any(|certificate| {
            self.signed.contains(&certificate.signed_hash)
                || self.certificates.iter().any(|listed| certificate.leads_to(listed))
        })
    }
}

fn one_list(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = usize::try_from(le32(bytes, 16)?).ok()?;
    bytes.split_at_checked(size).filter(|_| size >= HEADER)
}
