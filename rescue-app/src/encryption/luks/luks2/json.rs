//! The JSON area.

use std::collections::BTreeMap;

use argon2::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::encryption::luks::cipher::Specification;
use crate::encryption::luks::container::{Container, Digest, Segment, Slot};
use crate::encryption::luks::hash::Hash;
use crate::encryption::luks::kdf::Kdf;
use crate::volume::Doubt;

/// A kind of keyslot that holds no key: the state of a reencryption.
const REENCRYPTION: &str = "reencrypt";

#[derive(Deserialize)]
struct Metadata {
    keyslots: BTreeMap<String, Value>,
    segments: BTreeMap<String, JsonSegment>,
    digests: BTreeMap<String, JsonDigest>,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    requirements: Requirements,
}

#[derive(Default, Deserialize)]
struct Requirements {
    #[serde(default)]
    mandatory: Vec<String>,
}

#[derive(Deserialize)]
struct JsonSegment {
    #[serde(rename = "type")]
    kind: String,
    offset: String,
    size: String,
    #[serde(default)]
    iv_tweak: String,
    #[serde(default)]
    encryption: String,
    #[serde(default)]
    sector_size: usize,
    integrity: Option<Value>,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Deserialize)]
struct JsonDigest {
    #[serde(rename = "type")]
    kind: String,
    keyslots: Vec<String>,
    segments: Vec<String>,
    hash: String,
    iterations: u32,
    salt: String,
    digest: String,
}

#[derive(Deserialize)]
struct JsonSlot {
    #[serde(rename = "type")]
    kind: String,
    key_size: usize,
    af: JsonSplitter,
    area: JsonArea,
    kdf: JsonKdf,
}

#[derive(Deserialize)]
struct JsonSplitter {
    stripes: usize,
    hash: String,
}

#[derive(Deserialize)]
struct JsonArea {
    #[serde(rename = "type")]
    kind: String,
    offset: String,
    size: String,
    encryption: String,
    key_size: usize,
}

#[derive(Deserialize)]
struct JsonKdf {
    #[serde(rename = "type")]
    kind: String,
    salt: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    iterations: u32,
    #[serde(default)]
    time: u32,
    #[serde(default)]
    memory: u32,
    #[serde(default)]
    cpus: u32,
}

/// Reads the JSON area of a volume of `volume_size` bytes.
pub(super) fn parse(json: &[u8], volume_size: u64) -> Result<Container, Doubt> {
    let strange = |error| Doubt::because(format!("its header makes no sense: {error}"));
    let metadata: Metadata = serde_json::from_slice(json).map_err(strange)?;
    let (name, segment) = only_segment(&metadata)?;
    let segment = segment.read(volume_size)?;
    let ours = metadata.digests.values().filter(|digest| digest.segments.contains(name));
    let (mut slots, mut closed, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for digest in ours {
        digests.push(digest.read()?);
        for number in &digest.keyslots {
            match metadata.keyslots.get(number).map(|slot| read_slot(slot, segment.offset)) {
                Some(Ok(slot)) => slots.push(slot),
                Some(Err(doubt)) => closed.push(doubt),
                None => return Err(Doubt::because("its header names a key slot that is missing")),
            }
        }
    }
    Ok(Container { segment, slots, closed, digests })
}

/// The one segment of a container at rest.
fn only_segment(metadata: &Metadata) -> Result<(&String, &JsonSegment), Doubt> {
    let kind_of = |slot: &Value| slot.get("type").and_then(Value::as_str) == Some(REENCRYPTION);
    let mut segments = metadata.segments.iter();
    let (Some(segment), None) = (segments.next(), segments.next()) else {
        return Err(Doubt::because(
            "it has more or less than one segment, as while it is reencrypted",
        ));
    };
    if metadata.keyslots.values().any(kind_of) {
        return Err(Doubt::because("it is being reencrypted"));
    }
    match metadata.config.requirements.mandatory.as_slice() {
        [] => Ok(segment),
        words => {
            let words = words.join(", ");
            Err(Doubt::because(format!("it requires what this version does not know: {words:?}")))
        }
    }
}

impl JsonSegment {
    fn read(&self, volume_size: u64) -> Result<Segment, Doubt> {
        if self.kind != "crypt" || !self.flags.is_empty() {
            let words = format!("its segment of type {:?} is not known", self.kind);
            return Err(Doubt::because(words));
        }
        if self.integrity.is_some() {
            return Err(Doubt::because("it protects its data's integrity (dm-integrity)"));
        }
        let cipher = Specification::parse(&self.encryption)?;
        let offset = number(&self.offset)?;
        let size = match self.size.as_str() {
            "dynamic" => {
                let left = volume_size.saturating_sub(offset);
                left.saturating_sub(left.checked_rem(self.sector_size as u64).unwrap_or(0))
            }
            size => number(size)?,
        };
        let iv_tweak = number(&self.iv_tweak)?;
        Ok(Segment { offset, size, sector_size: self.sector_size, iv_tweak, cipher })
    }
}

impl JsonDigest {
    fn read(&self) -> Result<Digest, Doubt> {
        if self.kind != "pbkdf2" {
            return Err(Doubt::because(format!("its digest of type {:?} is not known", self.kind)));
        }
        Ok(Digest {
            hash: Hash::named(&self.hash)?,
            iterations: self.iterations,
            salt: binary(&self.salt)?,
            value: binary(&self.digest)?,
        })
    }
}

/// A key slot; its material lies before the data.
fn read_slot(slot: &Value, data: u64) -> Result<Slot, Doubt> {
    let strange = |error| Doubt::because(format!("a key slot makes no sense: {error}"));
    let slot: JsonSlot = serde_json::from_value(slot.clone()).map_err(strange)?;
    if slot.kind != "luks2" || slot.area.kind != "raw" {
        return Err(Doubt::because(format!("key slots of type {:?} are not known", slot.kind)));
    }
    let found = Slot {
        kdf: slot.kdf.read()?,
        area_key: slot.area.key_size,
        cipher: Specification::parse(&slot.area.encryption)?,
        offset: number(&slot.area.offset)?,
        key: slot.key_size,
        stripes: slot.af.stripes,
        hash: Hash::named(&slot.af.hash)?,
    };
    let material = found.material()? as u64;
    let end = found.offset.checked_add(material).filter(|end| *end <= data);
    if end.is_none() || material > number(&slot.area.size)? {
        return Err(Doubt::because("a key slot lies outside its area"));
    }
    Ok(found)
}

impl JsonKdf {
    fn read(&self) -> Result<Kdf, Doubt> {
        let salt = binary(&self.salt)?;
        let algorithm = match self.kind.as_str() {
            "pbkdf2" => {
                let hash = Hash::named(&self.hash)?;
                return Ok(Kdf::Pbkdf2 { hash, iterations: self.iterations, salt });
            }
            "argon2i" => Algorithm::Argon2i,
            "argon2id" => Algorithm::Argon2id,
            kind => {
                let words = format!("its key derivation function {kind:?} is not known");
                return Err(Doubt::because(words));
            }
        };
        let (passes, memory_kib, lanes) = (self.time, self.memory, self.cpus);
        Ok(Kdf::Argon2 { algorithm, passes, memory_kib, lanes, salt })
    }
}

/// Numbers of 64 bits are strings (§3.1).
fn number(text: &str) -> Result<u64, Doubt> {
    text.parse().map_err(|_| Doubt::because(format!("its header has {text:?} for a number")))
}

fn binary(text: &str) -> Result<Vec<u8>, Doubt> {
    STANDARD.decode(text).map_err(|_| Doubt::because("its header has binary data that are not"))
}
