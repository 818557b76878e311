//! LUKS containers, versions 1 and 2.
//!
//! Sources: "LUKS1 On-Disk Format Specification" §2, "LUKS2 On-Disk Format Specification" §2–§3.

mod antiforensic;
mod cipher;
mod container;
mod hash;
mod kdf;
mod luks1;
mod luks2;
mod unlock;
mod view;

use std::io;

use self::container::{Container, MAGIC};
use self::view::Data;
use crate::bytes::{Extents, ReadAt, be16, slice};
use crate::encryption::decrypted::Decrypted;
use crate::volume::probe::{has, read};
use crate::volume::{
    Doubt, Effort, Encryption, Filesystem, Format, Kind, Map, OpenContainer, Unlocked, VolumeKey,
    text,
};

/// The reader.
pub(crate) struct Luks;

impl Format for Luks {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let size = volume.size();
        Ok(read(volume, 0, 512)?.and_then(|header| parse(&header, size)))
    }

    fn map(&self, _volume: &dyn ReadAt, _found: &mut Filesystem) -> Result<Map, Doubt> {
        Err(Doubt::because("without its passphrase nothing tells which blocks of it are in use"))
    }

    fn encryption(&self) -> Option<&'static dyn Encryption> {
        Some(&Self)
    }
}

impl Encryption for Luks {
    fn unlock(&self, volume: &dyn ReadAt, secret: &[u8], effort: Effort) -> Unlocked {
        unlock::unlock(volume, secret, effort)
    }

    fn decrypted<'a>(
        &self,
        volume: &'a dyn ReadAt,
        key: &VolumeKey,
    ) -> Result<OpenContainer<'a>, Doubt> {
        let container = Container::read(volume)?;
        if !container.is_key(key.bytes(), Effort::with_memory(0))? {
            return Err(Doubt::because("the volume key is not that of this container"));
        }
        let segment = container.segment;
        let (start, sector_size) = (segment.offset, segment.sector_size as u64);
        let mut always = Extents::of(0, start);
        always.push(start.saturating_add(segment.size), volume.size());
        let cipher = segment.cipher.with_key(key.bytes())?;
        let content = Box::new(Decrypted(Data { volume, segment, cipher }));
        Ok(OpenContainer { content, start, sector_size, always })
    }
}

fn parse(header: &[u8], size: u64) -> Option<Filesystem> {
    if !has(header, 0, MAGIC) {
        return None;
    }
    let (kind, label) = match be16(header, 6)? {
        1 => (Kind::Luks1, None),
        2 => (Kind::Luks2, text::label(slice(header, 24, 48)?)),
        _ => return None,
    };
    let uuid = text::label(slice(header, 168, 40)?);
    Some(Filesystem { label, ..Filesystem::container(kind, size, uuid) })
}
