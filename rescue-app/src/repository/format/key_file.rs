//! Key files: the master key sealed with a key derived from a passphrase (restic
//! `doc/design.rst`, "Keys, Encryption and MAC"; scrypt as in RFC 7914).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use super::crypto::{self, Key};
use super::identity::Identity;
use super::readme::PUBLIC_PASSPHRASE;
use crate::repository::KeyNote;
use crate::repository::error::{RepositoryError, Result};

/// Cost of a new key: 32 MiB and about a tenth of a second, as restic's calibration picks.
const LOG_N: u8 = 15;
/// The same for the passphrase everybody knows: there is nothing to protect.
const PUBLIC_LOG_N: u8 = 10;
const R: u32 = 8;
const P: u32 = 1;

/// restic refuses salts of any other length.
const SALT_LEN: usize = 64;

/// Bounds on what a foreign key file may cost: memory in bytes, and N·r·p, which time grows with. The
/// limit of the second holds for all key files of a repository together.
const MEMORY_LIMIT: u64 = 256 << 20;
pub(in crate::repository) const WORK_LIMIT: u64 = 1 << 25;

const OUT_OF_BOUNDS: &str = "its key derivation parameters are out of bounds";

/// A key file; fields in restic's order (`internal/repository/key.go`).
#[derive(Serialize, Deserialize)]
pub(in crate::repository) struct KeyFile {
    #[serde(with = "time::serde::rfc3339")]
    created: OffsetDateTime,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// The master key as JSON inside `data`.
#[derive(Serialize, Deserialize)]
struct MasterKey {
    mac: MacKey,
    encrypt: String,
}

#[derive(Serialize, Deserialize)]
struct MacKey {
    k: String,
    r: String,
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.mac.k.zeroize();
        self.mac.r.zeroize();
        self.encrypt.zeroize();
    }
}

impl KeyFile {
    /// A key file that gives `master` to whoever knows the passphrase.
    pub(in crate::repository) fn create(
        master: &Key,
        passphrase: &str,
        identity: &Identity,
    ) -> Result<Self> {
        let mut salt = [0; SALT_LEN];
        crypto::fill_random(&mut salt)?;
        let log_n = if passphrase == PUBLIC_PASSPHRASE { PUBLIC_LOG_N } else { LOG_N };
        let user = derive(passphrase, &salt, (log_n, R, P))
            .ok_or(RepositoryError::Internal("scrypt parameters"))?;
        let json = Zeroizing::new(super::json_file::to_json(&MasterKey::of(master))?);
        Ok(Self {
            created: OffsetDateTime::now_utc(),
            username: identity.username.clone(),
            hostname: identity.hostname.clone(),
            kdf: "scrypt".to_owned(),
            n: 1 << log_n,
            r: R,
            p: P,
            salt: BASE64.encode(salt),
            data: BASE64.encode(user.seal(&json)?),
        })
    }

    /// The master key, `Ok(None)` when the passphrase is not this key's, and in words what is
    /// wrong with the file otherwise.
    pub(in crate::repository) fn open(&self, passphrase: &str) -> Result<Option<Key>, String> {
        let cost = self.checked_cost().ok_or(OUT_OF_BOUNDS)?;
        let salt = BASE64.decode(&self.salt).map_err(|error| error.to_string())?;
        let mut data = BASE64.decode(&self.data).map_err(|error| error.to_string())?;
        let user = derive(passphrase, &salt, cost).ok_or("scrypt refused its parameters")?;
        let Some(json) = user.open_in_place(&mut data) else { return Ok(None) };
        let master: Result<MasterKey, _> = serde_json::from_slice(json);
        json.zeroize();
        let key = master.map_err(|error| error.to_string())?.key();
        key.map(Some).ok_or_else(|| "its master key is incomplete".to_owned())
    }

    /// What is told of it.
    pub(in crate::repository) fn note(self, id: String, current: bool) -> KeyNote {
        let Self { created, username, hostname, .. } = self;
        KeyNote { id, created, username, hostname, current }
    }

    /// N·r·p, which the time to derive the key grows with; in words when the parameters are out of
    /// bounds.
    pub(in crate::repository) fn work(&self) -> Result<u64, String> {
        let (log_n, r, p) = self.checked_cost().ok_or(OUT_OF_BOUNDS)?;
        Ok((u64::from(r) << log_n) * u64::from(p))
    }

    /// Whether deriving the key takes about a millisecond or nothing at all.
    #[cfg(any(test, fuzzing))]
    pub(in crate::repository) fn is_cheap(&self) -> bool {
        self.work().map_or(true, |work| work < 512)
    }

    fn checked_cost(&self) -> Option<(u8, u32, u32)> {
        let per_block = u64::from(self.r).checked_mul(self.n)?;
        let memory = per_block.checked_mul(128)?;
        let work = per_block.checked_mul(u64::from(self.p))?;
        let sane = self.kdf == "scrypt"
            && self.n.is_power_of_two()
            && self.n > 1
            && work > 0
            && memory <= MEMORY_LIMIT
            && work <= WORK_LIMIT;
        let log_n = u8::try_from(self.n.trailing_zeros()).ok()?;
        sane.then_some((log_n, self.r, self.p))
    }
}

impl MasterKey {
    fn of(key: &Key) -> Self {
        let (encrypt, k, r) = key.parts();
        Self {
            mac: MacKey { k: BASE64.encode(k), r: BASE64.encode(r) },
            encrypt: BASE64.encode(encrypt),
        }
    }

    fn key(&self) -> Option<Key> {
        let mut bytes = Zeroizing::new([0; Key::LEN]);
        let parts = [(&self.encrypt, 0..32), (&self.mac.k, 32..48), (&self.mac.r, 48..64)];
        for (text, range) in parts {
            let part = Zeroizing::new(BASE64.decode(text).ok()?);
            let place = bytes.get_mut(range).filter(|place| place.len() == part.len())?;
            place.copy_from_slice(&part);
        }
        Some(Key::from_bytes(&bytes))
    }
}

/// The key scrypt makes of a passphrase.
fn derive(passphrase: &str, salt: &[u8], (log_n, r, p): (u8, u32, u32)) -> Option<Key> {
    let params = scrypt::Params::new(log_n, r, p).ok()?;
    let mut bytes = Zeroizing::new([0; Key::LEN]);
    scrypt::scrypt(passphrase.as_bytes(), salt, &params, &mut *bytes).ok()?;
    Some(Key::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file() -> (Key, KeyFile) {
        let master = Key::random().unwrap();
        let file = KeyFile::create(&master, "open sesame", &Identity::of_this_process()).unwrap();
        (master, file)
    }

    #[test]
    fn the_passphrase_opens_and_others_do_not() {
        let (master, file) = key_file();
        let json = serde_json::to_string(&file).unwrap();
        let file: KeyFile = serde_json::from_str(&json).unwrap();
        let opened = file.open("open sesame").unwrap().unwrap();
        assert_eq!(opened.parts(), master.parts());
        assert!(file.open("Open Sesame").unwrap().is_none());
    }

    #[test]
    fn a_hostile_cost_is_refused_before_it_is_paid() {
        let (_, mut file) = key_file();
        for (n, r, p) in [(1 << 30, 8, 1), (1 << 15, u32::MAX, u32::MAX), (3, 8, 1), (2, 8, 0)] {
            (file.n, file.r, file.p) = (n, r, p);
            assert!(file.open("open sesame").is_err(), "{n} {r} {p}");
        }
    }
}
