//! What a server offers: the disk, the partitions and the logical volumes of images, by their names.

use crate::bytes::ReadAt;
use crate::export::ExportedFile;

/// Ends the names of the files that disks and volumes are shown as.
const ENDING: &str = ".img";

/// An image that is served.
pub struct ServedImage {
    /// The start of its id.
    pub id: String,
    /// Its files; those that are no disk or volume are left out.
    pub files: Vec<ExportedFile>,
}

/// All exports of a server. The disk of the first image comes first; it goes by the empty name too.
pub(super) struct Exports(Vec<(String, ExportedFile)>);

impl Exports {
    /// Those of the first image go by their file's name without its ending (`disk`, `3-root`), those of the
    /// others by the image's id and that (`4f2a81c0/disk`).
    pub(super) fn new(images: Vec<ServedImage>) -> Self {
        let mut exports = Vec::new();
        for (number, image) in images.into_iter().enumerate() {
            for file in image.files {
                let Some(name) = file.name.strip_suffix(ENDING) else { continue };
                let name = match number {
                    0 => name.to_owned(),
                    _ => format!("{}/{name}", image.id),
                };
                exports.push((name, file));
            }
        }
        Self(exports)
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The number of an export.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        match name {
            b"" => (!self.0.is_empty()).then_some(0),
            _ => self.names().position(|own| own.as_bytes() == name),
        }
    }

    /// An export by its number.
    pub(super) fn get(&self, export: usize) -> Option<&ExportedFile> {
        self.0.get(export).map(|(_, file)| file)
    }

    /// Its bytes.
    pub(super) fn size(&self, export: usize) -> u64 {
        self.get(export).map_or(0, |file| file.content.size())
    }

    /// Whether it can be written.
    pub(super) fn is_writable(&self, export: usize) -> bool {
        self.get(export).is_some_and(|file| file.content.writable().is_some())
    }
}
