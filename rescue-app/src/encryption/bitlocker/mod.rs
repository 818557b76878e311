//! BitLocker containers, those of Windows 7 and later and those of BitLocker To Go.
//!
//! Sources: libbde, "BitLocker Drive Encryption (BDE) format specification"; for checksums and
//! states dislocker, `metadata.priv.h`.

mod boot;
mod cipher;
mod keys;
mod metadata;
mod protectors;
#[cfg(test)]
mod tests;
mod view;

use std::io;

use self::metadata::Metadata;
use self::view::Data;
use crate::bytes::{Extents, ReadAt};
use crate::encryption::decrypted::Decrypted;
use crate::volume::probe::read;
use crate::volume::{
    Doubt, Effort, Encryption, Filesystem, Format, Kind, Map, OpenContainer, Unlocked, VolumeKey,
};

/// The reader.
pub(crate) struct BitLocker;

impl Format for BitLocker {
    fn probe(&self, volume: &dyn ReadAt) -> io::Result<Option<Filesystem>> {
        let Some(sector) = read(volume, 0, 512)? else { return Ok(None) };
        let found = boot::place(&sector).is_some();
        Ok(found.then(|| {
            let identity = metadata::identity(volume, &sector);
            Filesystem::container(Kind::BitLocker, volume.size(), identity)
        }))
    }

    fn map(&self, volume: &dyn ReadAt, _found: &mut Filesystem) -> Result<Map, Doubt> {
        Metadata::read(volume)?;
        Err(Doubt::because(
            "without its password or recovery key nothing tells which blocks of it are in use",
        ))
    }

    fn encryption(&self) -> Option<&'static dyn Encryption> {
        Some(&Self)
    }
}

impl Encryption for BitLocker {
    fn unlock(&self, volume: &dyn ReadAt, secret: &[u8], effort: Effort) -> Unlocked {
        keys::unlock(&Metadata::read(volume)?, secret, effort)
    }

    fn decrypted<'a>(
        &self,
        volume: &'a dyn ReadAt,
        key: &VolumeKey,
    ) -> Result<OpenContainer<'a>, Doubt> {
        let metadata = Metadata::read(volume)?;
        let Some(data_key) = metadata.data_key(key.bytes()) else {
            return Err(Doubt::because("the volume key is not that of this container"));
        };
        let cipher = metadata.method.with_key(&data_key)?;
        let mut always = Extents::of(metadata.size, volume.size());
        for place in metadata.own().into_iter().chain([metadata.replaced()]) {
            always = always.union(&Extents::of(place.start, place.end));
        }
        let sector_size = metadata.sector_size;
        let content = Box::new(Decrypted(Data { volume, metadata, cipher }));
        Ok(OpenContainer { content, start: 0, sector_size, always })
    }

    fn key_on_disk(&self, volume: &dyn ReadAt) -> Option<VolumeKey> {
        keys::key_on_disk(&Metadata::read(volume).ok()?)
    }
}
