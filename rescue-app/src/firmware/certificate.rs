//! Certificates of X.509 (RFC 5280, 4.1) and signatures of PKCS #7 (RFC 2315, 9.1), as far as they say
//! who signed. Whether a signature is right is for the firmware to say.

use sha2::{Digest, Sha256};

use super::der::{FIRST, INTEGER, OBJECT_ID, SEQUENCE, SET, Values};
use crate::volume::text::printable;

/// `commonName` (RFC 5280, A.1).
const COMMON_NAME: [u8; 3] = [0x55, 4, 3];

/// Certificates of a signature that are looked at, and of those the longest chain.
const MOST_CERTIFICATES: usize = 64;
const LONGEST_CHAIN: usize = 8;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    bytes: Vec<u8>,
    /// What of it is signed, hashed.
    pub(super) signed_hash: [u8; 32],
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
}

impl Certificate {
    /// Reads what names it; `None` when it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut outer = Values(bytes).enter(SEQUENCE)?;
        let signed = outer.value(SEQUENCE)?;
        let mut fields = Values(signed.content);
        let mut after_version = fields;
        if after_version.value(FIRST).is_some() {
            fields = after_version;
        }
        let serial = fields.value(INTEGER)?.content.to_vec();
        let _algorithm = fields.value(SEQUENCE)?;
        let issuer = fields.value(SEQUENCE)?.whole.to_vec();
        let _validity = fields.value(SEQUENCE)?;
        let subject = fields.value(SEQUENCE)?.whole.to_vec();
        let signed_hash = Sha256::digest(signed.whole).into();
        Some(Self { bytes: bytes.to_vec(), signed_hash, serial, issuer, subject })
    }

    /// Whether this is the other one, or was issued by it.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        self.bytes == other.bytes || self.issuer == other.subject
    }

    /// Who issued it.
    fn issuer(&self) -> String {
        name(&self.issuer).unwrap_or_else(|| "a nameless authority".to_owned())
    }

    /// Whose it is.
    pub(super) fn subject(&self) -> String {
        name(&self.subject).unwrap_or_else(|| "nobody".to_owned())
    }
}

/// The common name in a distinguished name.
fn name(bytes: &[u8]) -> Option<String> {
    let sets = Values(bytes).enter(SEQUENCE)?.filter(|set| set.tag == SET);
    let mut attributes = sets.flat_map(|set| Values(set.content));
    attributes.find_map(|attribute| {
        let mut fields = Values(attribute.content);
        let is_name = fields.value(OBJECT_ID)?.content == COMMON_NAME;
        let text = fields.next().filter(|_| is_name)?.content;
        Some(printable(&String::from_utf8_lossy(text)))
    })
}

/// A signature, by the certificates that it brings: that of the signer, and those of its issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) chain: Vec<Certificate>,
}

impl Signature {
    /// Reads a `SignedData`; `None` when it is none, or does not bring its signer's certificate.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut content = Values(bytes).enter(SEQUENCE)?;
        let _kind = content.value(OBJECT_ID)?;
        let mut fields = content.enter(FIRST)?.enter(SEQUENCE)?;
        let (_version, _digests) = (fields.value(INTEGER)?, fields.value(SET)?);
        let _what = fields.value(SEQUENCE)?;
        let certificates = fields.enter(FIRST)?.take(MOST_CERTIFICATES);
        let certificates = certificates.filter_map(|it| Certificate::parse(it.whole));
        let certificates: Vec<Certificate> = certificates.collect();
        let mut signer = fields.find(|field| field.tag == SET).map(|set| Values(set.content))?;
        let mut signer = signer.enter(SEQUENCE)?;
        let _version = signer.value(INTEGER)?;
        let mut named = signer.enter(SEQUENCE)?;
        let (issuer, serial) = (named.value(SEQUENCE)?.whole, named.value(INTEGER)?.content);
        let is_signer = |it: &&Certificate| it.issuer == issuer && it.serial == serial;
        let mut chain = vec![certificates.iter().find(is_signer)?.clone()];
        while let Some(last) = chain.last().filter(|_| chain.len() < LONGEST_CHAIN) {
            let next = certificates.iter().find(|it| it.subject == last.issuer);
            match next.filter(|next| !chain.contains(next)) {
                Some(next) => chain.push(next.clone()),
                None => break,
            }
        }
        Some(Self { chain })
    }

    /// Who vouches for its signer.
    pub(super) fn authority(&self) -> String {
        self.chain.first().map(Certificate::issuer).unwrap_or_default()
    }
}
