//! Amazon's signature, version 4
//! (AWS, *Signature Version 4 signing process*; *Authenticating Requests: Using the Authorization Header*).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::store::network::address::encode;
use crate::store::network::secret::Secret;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) key_id: String,
    pub(super) key: Secret,
    pub(super) region: String,
}

/// What is signed of a request.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// Encoded, from the first slash on.
    pub(super) path: &'a str,
    /// Names and values as they are, sorted by name.
    pub(super) query: &'a [(&'a str, String)],
    /// Names in lower case, sorted.
    pub(super) headers: &'a [(&'static str, String)],
    /// SHA-256 of the body, in hex.
    pub(super) body_sum: &'a str,
}

/// SHA-256 in hex.
pub(super) fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A time as the signature wants it, `20150830T123600Z`.
pub(super) fn stamp(time: OffsetDateTime) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.format(format).unwrap_or_default()
}

/// The query as it goes into an address.
pub(super) fn query_text(query: &[(&str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| format!("{}={}", encode(name), encode(value));
    query.iter().map(pair).collect::<Vec<_>>().join("&")
}

impl Signer {
    /// The `Authorization` header for a request made at `stamp`.
    pub(super) fn authorization(&self, signed: &Signed<'_>, stamp: &str) -> String {
        let headers: String = signed
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim()))
            .collect();
        let names = signed.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let request = format!(
            "{}\n{}\n{}\n{headers}\n{names}\n{}",
            signed.method,
            signed.path,
            query_text(signed.query),
            signed.body_sum,
        );
        let day = stamp.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", sum(request.as_bytes()));
        let first = format!("AWS4{}", self.key.reveal());
        let steps = [day, &self.region, "s3", "aws4_request", &text];
        let signature = steps.iter().fold(first.into_bytes(), |key, step| hmac(&key, step));
        format!(
            "{ALGORITHM} Credential={}/{scope},SignedHeaders={names},Signature={}",
            self.key_id,
            hex::encode(signature)
        )
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // Every length is a key's (RFC 2104).
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amazon's own example: *Signature Calculations for the Authorization Header*, GET Object.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let signer = Signer {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1".to_owned(),
        };
        let body_sum = sum(b"");
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com".to_owned()),
            ("range", "bytes=0-9".to_owned()),
            ("x-amz-content-sha256", body_sum.clone()),
            ("x-amz-date", "20130524T000000Z".to_owned()),
        ];
        let signed = Signed {
            method: "GET",
            path: "/test.txt",
            query: &[],
            headers: &headers,
            body_sum: &body_sum,
        };
        let authorization = signer.authorization(&signed, "20130524T000000Z");
        assert_eq!(
            authorization.rsplit_once('=').unwrap().1,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
